// Sentences about images from this computer in Bahasa Indonesia.
export default {
  "upload.title": "Dari komputer ini", "upload.text": "Letakkan gambar atau folder di sini, atau tempel gambar. Gambar disimpan oleh layanan ini dan belum berlabel. Paling besar 30 MB tiap gambar.",
  "upload.first": "Letakkan sebuah folder gambar di sini: folder itu menjadi set data pertama Anda.",
  "upload.follows": { other: "{n} berkas ditambahkan ke dalamnya." },
  "upload.files": "Pilih gambar", "upload.folder": "Pilih folder", "upload.reading": "Folder sedang dibaca …",
  "upload.progress": "Pengunggahan", "upload.of": "{n} dari {all} berkas", "upload.pause": "Jeda", "upload.resume": "Lanjutkan", "upload.paused": "Pengunggahan dijeda.",
  "upload.trouble": "Pengunggahan menunggu. Tidak ada yang hilang: yang sudah terkirim tidak dikirim lagi.",
  "upload.done": { other: "Selesai: {n} gambar baru." }, "upload.images": "Lihat gambarnya",
  "upload.all": "Semua berkas", "upload.waiting": "Menunggu", "upload.sending": "Sedang dikirim", "upload.added": "Ditambahkan", "upload.there": "Sudah ada", "upload.refused": "Ditolak",
  "upload.list": "Hasil tiap berkas", "upload.save": "Simpan yang ditolak sebagai CSV",
};
