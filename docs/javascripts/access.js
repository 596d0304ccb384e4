// What Material's own script adds to a page, for readers without a mouse, without sight or with a small screen: what is
// wide can be scrolled by the keyboard and shows that it goes on, the button that copies a block of code is no part of
// the navigation, and a piece of code in a sentence is broken, if at all, where one of its words ends.
const WHOLE = 24 // characters that fit into a line on a phone
const SCROLLED = '.md-typeset__scrollwrap, .md-typeset pre > code'

const hint = ({ currentTarget: each }) => {
  each.classList.toggle("goes-on", each.scrollLeft + each.clientWidth < each.scrollWidth - 1)
  if (each.scrollWidth > each.clientWidth) each.tabIndex = 0
  else each.removeAttribute("tabindex")
}
const sizes = new ResizeObserver(all => all.forEach(({ target }) => hint({ currentTarget: target })))

const words = text =>
  text.split(/(?<=[_/:=, ])(?![:/ ])/).flatMap((word, place) => {
    const part = document.createElement("span")
    part.textContent = word
    if (word.length <= WHOLE) part.className = "short"
    return place ? [document.createElement("wbr"), part] : [part]
  })

// The button of a block with prompts copies the commands alone, without prompts and outputs.
const copyCommands = button => {
  const code = button.closest("pre")?.querySelector("code")
  if (!code?.querySelector(".gp")) return
  const commands = code.textContent.split("\n").filter(line => line.startsWith("$ ")).map(line => line.slice(2))
  button.dataset.clipboardText = commands.join("\n") + "\n"
}

const improve = () => {
  for (const each of document.querySelectorAll("[data-md-type=copy]:not([data-clipboard-text])")) copyCommands(each)
  for (const each of document.querySelectorAll(".md-code__nav:not([role])")) each.setAttribute("role", "none")
  for (const each of document.querySelectorAll(SCROLLED)) {
    if (each.dataset.watched) continue
    each.dataset.watched = "yes"
    each.addEventListener("scroll", hint, { passive: true })
    sizes.observe(each)
  }
  for (const each of document.querySelectorAll(".md-typeset :not(pre) > code:not(.short, .long)")) {
    const text = each.textContent
    const limit = each.closest("table") ? 16 : WHOLE
    each.classList.add(text.length > limit ? "long" : "short")
    if (text.length > limit && !each.childElementCount) each.replaceChildren(...words(text))
  }
}
new MutationObserver(improve).observe(document.querySelector(".md-content"), { childList: true, subtree: true })
improve()
