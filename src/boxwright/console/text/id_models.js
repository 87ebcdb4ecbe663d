// Kalimat tentang satu model dalam bahasa Indonesia.
export default {
  "models.cost": "Lama pelatihan", "models.stop": "Alasan berakhir", "models.describe": "Cara model dibuat",
  "models.rename": "Ganti nama", "models.rename.do": "Beri nama ini", "models.renamed": "Model kini bernama {name}.", "models.export": "Ekspor", "models.export.do": "Tulis berkas", "models.exported": "Model ada di {folder}.",
  "models.export.folder": "Folder untuk berkas", "models.export.needed": "Ketik dahulu tujuan berkas.", "models.browse": "Jelajahi folder", "models.format": "Format", "models.format.onnx": "ONNX, presisi penuh", "models.format.openvino": "OpenVINO, dengan presisi yang dipakai memprediksi",
  "stop.BUDGET_REACHED": "Anggaran habis terpakai.", "stop.MODEL_CONVERGED": "Tidak membaik lagi.", "about.weights.random": "bobot acak",
  "about.precision": "Presisi", "about.precision.why": "Dipilih karena", "about.input": "Ukuran masukan", "about.weights": "Pelatihan dimulai dengan", "about.images": "Gambar", "about.steps": "Langkah", "about.version": "Versi Boxwright", "about.all": "Semua rincian",
};
