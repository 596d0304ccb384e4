// What Material's own script adds to a page, for readers without a mouse or without sight: a wide table can be scrolled
// by the keyboard, and the button that copies a block of code is no part of the navigation.
const improve = () => {
  for (const each of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) each.tabIndex = 0
  for (const each of document.querySelectorAll(".md-code__nav:not([role])")) each.setAttribute("role", "none")
}
new MutationObserver(improve).observe(document.querySelector(".md-content"), { childList: true, subtree: true })
improve()
