// Sentences about labels in English.
export default {
  "labels.title": "Labels", "labels.sub": "What the images of this dataset can show. Counts are of all images.", "labels.new": "New label",
  "labels.none": "No label yet", "labels.none.text": "Make a label, or import images with labels.", "labels.label": "Label", "labels.given": "Times given",
  "labels.key": "Key", "labels.acts": "Actions", "labels.edit": "Change", "labels.merge": "Merge", "labels.delete": "Delete", "labels.colour": "Colour",
  "labels.save": "Save", "labels.undo": "Undo", "labels.into": "Becomes the label",
  "labels.edit.title": "Change the label {label}", "labels.merge.title": "Merge the label {label}", "labels.delete.title": "Delete the label {label}?",
  "labels.merge.alone": "There is no other label.", "labels.name.needed": "Type a name first.", "labels.name.taken": "Another label has this name. To make one of two, merge them.",
  "labels.name.hint": "At most 128 characters. Models keep the names that they were trained with.", "labels.key.hint": "A digit or a letter from a to z that gives this label in the editor.",
  "labels.key.taken": "This is the key of the label {label}.",
  "labels.made": "The label {label} is created.", "labels.saved": "The label {label} is saved.",
  "labels.merge.text": { one: "{n} image with the label {label} gets another label. Of two labels with the same box one stays. You can undo this for 30 days.", other: "{n} images with the label {label} get another label. Of two labels with the same box one stays. You can undo this for 30 days." },
  "labels.merged": { one: "{label} has become {into} in {n} image.", other: "{label} has become {into} in {n} images." },
  "labels.delete.text": { one: "The label is taken off {n} image. The image stays. You can undo this for 30 days.", other: "The label is taken off {n} images. The images stay. You can undo this for 30 days." },
  "labels.deleted": { one: "{label} is deleted, and taken off {n} image.", other: "{label} is deleted, and taken off {n} images." },
  "labels.models": "Models that are there already do not change.",
  "labels.reverted": { one: "{n} image is as before.", other: "{n} images are as before." },
  "labels.reverted.kept": { one: "{n} image is as before; {kept} were changed since and stay as they are.", other: "{n} images are as before; {kept} were changed since and stay as they are." },
};
