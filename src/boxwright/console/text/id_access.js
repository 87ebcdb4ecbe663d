// Kalimat tentang akses dalam bahasa Indonesia.
export default {
  "access.title": "Anggota dan peran", "access.on": "Dari", "access.project": "Project {name}", "access.location": "Lokasi {name}", "access.members": "Siapa boleh melakukan apa", "access.mine": "Yang boleh Anda lakukan di sini",
  "access.none": "Tidak ada peran di sini: setiap orang yang menjangkau layanan ini boleh melakukan semuanya.", "access.unseen": "Anda tidak boleh melihat siapa memiliki peran apa di sini.", "access.nobody": "Tidak ada yang memiliki peran langsung di sini. Peran pada induknya juga berlaku.",
  "access.member": "Anggota", "access.role": "Peran", "access.take": "Cabut", "access.add": "Berikan peran", "access.written": "Peran diubah. Berlaku mulai panggilan berikutnya.",
  "access.member.needed": "Ketik dahulu anggota, misalnya user:ada@example.org.", "access.member.hint": "serviceAccount:, user:, group:, atau domain: dan alamat; principal://... atau principalSet://... dari penyedia identitas; allAuthenticatedUsers.",
  "access.commands": "Akun, kunci, dan izin bucket", "access.commands.text": "Dibuat dengan perintah di mesin layanan. Ganti kata berhuruf besar dengan nama Anda sendiri.",
  "role.automl.viewer": "membaca", "role.automl.predictor": "memprediksi", "role.automl.editor": "semua kecuali peran", "role.automl.admin": "semua di bawah project", "role.owner": "semua, juga peran project", "role.editor": "semua kecuali peran, dibebankan ke project",
  "role.viewer": "membaca, juga peran project", "role.boxwright.prioritizer": "tugas batch berprioritas tinggi", "role.serviceusage.serviceUsageConsumer": "panggilan yang dibebankan ke project", "role.iam.serviceAccountTokenCreator": "token akun-akunnya",
};
