// Kalimat tentang label dalam bahasa Indonesia.
export default {
  "labels.title": "Label", "labels.sub": "Apa saja yang dapat terlihat pada gambar set data ini. Jumlah dihitung dari semua gambar.", "labels.new": "Label baru",
  "labels.none": "Belum ada label", "labels.none.text": "Buat label, atau impor gambar yang berlabel.", "labels.label": "Label", "labels.given": "Kali diberikan",
  "labels.key": "Tombol", "labels.acts": "Tindakan", "labels.edit": "Ubah", "labels.merge": "Gabungkan", "labels.delete": "Hapus", "labels.colour": "Warna",
  "labels.save": "Simpan", "labels.undo": "Urungkan", "labels.into": "Menjadi label",
  "labels.edit.title": "Ubah label {label}", "labels.merge.title": "Gabungkan label {label}", "labels.delete.title": "Hapus label {label}?",
  "labels.merge.alone": "Tidak ada label lain.", "labels.name.needed": "Ketik nama dahulu.", "labels.name.taken": "Label lain sudah memakai nama ini. Untuk menyatukan keduanya, gabungkan.",
  "labels.name.hint": "Paling banyak 128 karakter. Model tetap memakai nama saat dilatih.", "labels.key.hint": "Satu angka atau huruf a sampai z yang memberi label ini di editor.",
  "labels.key.taken": "Ini tombol label {label}.",
  "labels.made": "Label {label} sudah dibuat.", "labels.saved": "Label {label} disimpan.",
  "labels.merge.text": { other: "{n} gambar dengan label {label} mendapat label lain. Dari dua label dengan kotak yang sama, satu dipertahankan. Tindakan ini dapat diurungkan selama 30 hari." },
  "labels.merged": { other: "{label} menjadi {into} pada {n} gambar." },
  "labels.delete.text": { other: "Label dilepas dari {n} gambar. Gambarnya tetap ada. Tindakan ini dapat diurungkan selama 30 hari." },
  "labels.deleted": { other: "{label} dihapus dan dilepas dari {n} gambar." },
  "labels.models": "Model yang sudah ada tidak berubah.",
  "labels.reverted": { other: "{n} gambar kembali seperti semula." },
  "labels.reverted.kept": { other: "{n} gambar kembali seperti semula; {kept} sudah diubah sesudahnya dan dibiarkan." },
};
