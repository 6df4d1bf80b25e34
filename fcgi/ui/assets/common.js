// SPDX-License-Identifier: Apache-2.0
// What every page needs: its settings and texts, and short ways to its elements.

export const settings = JSON.parse(document.body.dataset.settings)

/** The text of that name with its {words} filled in. */
export function t(name, values = {}) {
  const text = settings.texts[name] ?? name
  return text.replace(/\{(\w+)\}/g, (word, key) => String(values[key] ?? word))
}

export function byId(id) {
  return document.getElementById(id)
}

/** A new element; attributes that are null are left out, text is only ever text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

export function show(element, visible = true) {
  if (element) element.hidden = !visible
}

/** Put text into an element and show it; without text hide it. */
export function say(element, text) {
  if (element.textContent !== (text || '')) element.textContent = text || ''
  show(element, Boolean(text))
}

export function statusUrl(id) {
  return `${settings.base}/status/${id}`
}
