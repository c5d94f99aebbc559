// One box that marks every row of a list of the console.
const all = document.getElementById("action-toggle");
if (all) {
  const boxes = [...document.querySelectorAll("input.action-select")];
  const show = () => boxes.forEach((box) => box.closest("tr").classList.toggle("selected", box.checked));
  all.addEventListener("change", () => {
    boxes.forEach((box) => { box.checked = all.checked; });
    show();
  });
  boxes.forEach((box) => box.addEventListener("change", () => {
    all.checked = boxes.every((each) => each.checked);
    show();
  }));
}
