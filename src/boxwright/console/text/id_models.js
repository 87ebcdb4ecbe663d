// Kalimat tentang satu model dalam bahasa Indonesia.
export default {
  "models.cost": "Lama pelatihan", "models.hours": "{h} jam", "models.stop": "Berakhir karena", "models.describe": "Yang diketahui layanan tentangnya",
  "models.rename": "Ganti nama", "models.rename.do": "Beri nama ini", "models.renamed": "Model kini bernama {name}.", "models.export": "Ekspor", "models.export.do": "Tulis berkas", "models.exported": "Model ada di {folder}.",
  "models.export.folder": "Folder untuk berkas", "models.export.needed": "Ketik dahulu tujuan berkas.", "models.browse": "Cari folder", "models.format": "Format", "models.format.onnx": "ONNX, presisi penuh", "models.format.openvino": "OpenVINO, dengan presisi yang dipakai memprediksi",
  "about.precision": "Presisi", "about.precision.why": "Dipilih karena", "about.input": "Ukuran masukan", "about.weights": "Pelatihan dimulai dengan", "about.images": "Gambar", "about.steps": "Langkah", "about.version": "Dilatih oleh versi", "about.all": "Semuanya",
};
