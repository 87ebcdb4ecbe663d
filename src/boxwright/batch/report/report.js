const data = JSON.parse(document.getElementById("counts").textContent);
const slider = document.getElementById("threshold");
const atLeast = (counts, from) => counts.slice(from, 100).reduce((sum, count) => sum + count, 0);
function recount() {
  const from = Number(slider.value);
  document.getElementById("shown").textContent = (from / 100).toFixed(2);
  data.labels.forEach((counts, row) => {
    document.getElementById(`now-${row}`).textContent = atLeast(counts, from).toLocaleString("en-US");
  });
  document.getElementById("now-images").textContent = atLeast(data.images, from).toLocaleString("en-US");
}
document.getElementById("slide").hidden = false;
document.querySelectorAll(".now").forEach((cell) => { cell.hidden = false; });
slider.addEventListener("input", recount);
recount();
