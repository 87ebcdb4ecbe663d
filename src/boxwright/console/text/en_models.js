// Sentences about one model in English.
export default {
  "models.cost": "Training took", "models.stop": "Why it ended", "models.describe": "How the model was made",
  "models.rename": "Rename", "models.rename.do": "Give this name", "models.renamed": "The model is called {name} now.", "models.export": "Export", "models.export.do": "Write the files", "models.exported": "The model is in {folder}.",
  "models.export.folder": "Folder for the files", "models.export.needed": "Type where the files go first.", "models.browse": "Browse for a folder", "models.format": "Format", "models.format.onnx": "ONNX, full precision", "models.format.openvino": "OpenVINO, in the precision that it predicts with",
  "stop.BUDGET_REACHED": "The budget was used up.", "stop.MODEL_CONVERGED": "It had stopped improving.", "about.weights.random": "random weights",
  "about.precision": "Precision", "about.precision.why": "Chosen because", "about.input": "Input size", "about.weights": "Training began with", "about.images": "Images", "about.steps": "Steps", "about.version": "Boxwright version", "about.all": "All details",
};
