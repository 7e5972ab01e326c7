/* Light or dark: as the system says, until the reader chooses. */
function themeButton() {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const button = element("button", { class: "button", type: "button" });
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const tell = () => { button.textContent = dark() ? "☀ Light" : "☾ Dark"; };
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    tell();
    document.dispatchEvent(new Event("theme"));
  });
  system.addEventListener("change", tell);
  tell();
  return button;
}
