// Sentences about images from this computer in English.
export default {
  "upload.title": "From this computer", "upload.text": "Drop images or folders here, or paste an image. They are kept by this service and have no labels yet. 30 MB each at most.",
  "upload.first": "Drop a folder of images here: it becomes your first dataset.",
  "upload.follows": { one: "{n} file is added to it.", other: "{n} files are added to it." },
  "upload.files": "Choose images", "upload.folder": "Choose a folder", "upload.reading": "The folders are being read …",
  "upload.progress": "Upload", "upload.of": "{n} of {all} files", "upload.pause": "Pause", "upload.resume": "Resume", "upload.paused": "The upload is paused.",
  "upload.trouble": "The upload waits. Nothing is lost: what was sent is not sent again.",
  "upload.done": { one: "Done: {n} image is new.", other: "Done: {n} images are new." }, "upload.images": "See the images",
  "upload.all": "All files", "upload.waiting": "Waiting", "upload.sending": "On the way", "upload.added": "Added", "upload.there": "Already there", "upload.refused": "Refused",
  "upload.list": "What became of each file", "upload.save": "Save the refused as CSV",
};
