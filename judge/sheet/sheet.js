"use strict";
(() => {
  const sheet = JSON.parse(document.getElementById("sheet").textContent);
  const items = [...document.querySelectorAll("article.item")];
  const who = document.getElementById("who");
  const values = sheet.criteria.map((c) => new Map(c.labels));
  let at = 0, scores = {};

  // A browser may refuse to store anything for a local file; the page works without it.
  try {
    const kept = JSON.parse(localStorage.getItem(sheet.key) || "{}");
    scores = kept.scores || kept.marks || {};
    who.value = kept.who || "";
  } catch { /* nothing was kept */ }

  const keep = () => {
    try {
      localStorage.setItem(sheet.key, JSON.stringify({ scores, who: who.value }));
    } catch { /* saving the file still works */ }
  };

  const tell = () => {
    const whole = items.filter((_, n) => sheet.criteria.every((_, p) => `${n}-${p}` in scores)).length;
    document.getElementById("done").textContent = `${whole} of ${items.length} scored`;
    document.getElementById("place").textContent = `${at + 1} / ${items.length}`;
    for (const field of items[at].querySelectorAll("fieldset")) field.classList.remove("open");
    const next = [...items[at].querySelectorAll("fieldset")].find((f) => !(`${at}-${f.dataset.place}` in scores));
    if (next) next.classList.add("open");
  };

  const go = (to) => {
    items[at].hidden = true;
    at = Math.min(items.length - 1, Math.max(0, to));
    items[at].hidden = false;
    scrollTo(0, 0);
    tell();
  };

  for (const [key, label] of Object.entries(scores)) {
    const [n, place] = key.split("-");
    const input = [...document.getElementsByName(`q${n}-${place}`)].find((i) => i.value === label);
    if (input) input.checked = true;
  }

  document.addEventListener("change", (event) => {
    const match = /^q(\d+)-(\d+)$/.exec(event.target.name || "");
    if (!match) return;
    scores[`${match[1]}-${match[2]}`] = event.target.value;
    keep();
    tell();
  });
  who.addEventListener("input", keep);
  document.getElementById("back").addEventListener("click", () => go(at - 1));
  document.getElementById("next").addEventListener("click", () => go(at + 1));

  document.addEventListener("keydown", (event) => {
    if (event.target === who || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.type !== "radio" && event.key === "ArrowLeft") go(at - 1);
    else if (event.target.type !== "radio" && event.key === "ArrowRight") go(at + 1);
    else if (/^[0-9]$/.test(event.key)) {
      const open = items[at].querySelector("fieldset.open") || items[at].querySelector("fieldset");
      const labels = [...open.querySelectorAll("input")];
      // The label itself where labels are digits, otherwise its position from 1.
      const named = labels.find((input) => input.value === event.key);
      const digits = labels.some((input) => /^[0-9]$/.test(input.value));
      const input = named || (digits ? null : labels[Number(event.key) - 1]);
      if (input) input.click();
      document.activeElement.blur();
    }
  });

  document.getElementById("save").addEventListener("click", () => {
    if (!who.value.trim()) {
      who.focus();
      document.getElementById("done").textContent = "Enter your name first: labels are saved with it.";
      return;
    }
    const lines = [];
    items.forEach((_, n) => {
      const given = {};
      sheet.criteria.forEach((criterion, place) => {
        const label = scores[`${n}-${place}`];
        if (label !== undefined) given[criterion.name] = label === "" ? "N/A" : values[place].get(label);
      });
      if (Object.keys(given).length) {
        lines.push(JSON.stringify({
          [sheet.id_field]: sheet.ids[n], annotator: who.value.trim(), rubric: sheet.rubric, scores: given,
        }));
      }
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "application/jsonl" }));
    link.download = "labels.jsonl";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  go(0);
})();
