"use strict";
(() => {
  const root = document.documentElement;

  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });

  const zoom = document.getElementById("zoom");
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.pic");
    if (button) {
      const small = button.querySelector("img"), large = zoom.querySelector("img");
      large.src = small.src;
      large.alt = small.alt;
      large.classList.toggle("pixels", small.naturalWidth <= 96);
      zoom.showModal();
    } else if (event.target === zoom) {
      zoom.close();
    }
  });

  for (const image of document.querySelectorAll("button.pic img")) {
    const mark = () => image.classList.toggle("pixels", image.naturalWidth > 0 && image.naturalWidth <= 96);
    image.complete ? mark() : image.addEventListener("load", mark);
  }

  root.classList.add("js");
  for (const text of document.querySelectorAll(".turn bdi")) {
    if (text.textContent.length < 280) continue;
    text.classList.add("long");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "whole-text";
    button.textContent = "more";
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      const whole = text.classList.toggle("whole");
      button.textContent = whole ? "less" : "more";
      button.setAttribute("aria-expanded", String(whole));
    });
    text.after(button);
  }

  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details:not([open])")) {
      one.open = true;
      one.dataset.opened = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const one of document.querySelectorAll("details[data-opened]")) {
      one.open = false;
      delete one.dataset.opened;
    }
  });
})();
