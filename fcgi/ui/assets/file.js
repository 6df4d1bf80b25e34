// SPDX-License-Identifier: Apache-2.0
// Files: whether two are the same, and the ways to choose one.
import { byId, show } from './common.js'

const PIECE = 65536

/** Two running sums over bytes (FNV-1a with two bases): enough to tell one file from another. */
function addTo(sums, bytes) {
  let [a, b] = sums
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = Math.imul(b ^ byte, 0x0100019d)
  }
  return [a >>> 0, b >>> 0]
}

function hex(sums) {
  return sums.map((sum) => sum.toString(16).padStart(8, '0')).join('')
}

export function sumOf(text) {
  return hex(addTo([0x811c9dc5, 0x9747b28c], new TextEncoder().encode(text)))
}

/** A sum over the beginning, the middle and the end of a file. Rejects where it can't be read. */
export async function sampleOf(file) {
  let sums = [0x811c9dc5, 0x9747b28c]
  for (const at of [0, Math.floor(file.size / 2), Math.max(0, file.size - PIECE)]) {
    const piece = await file.slice(at, at + PIECE).arrayBuffer()
    sums = addTo(sums, new Uint8Array(piece))
  }
  return hex(sums)
}

export async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer()
    return true
  } catch {
    return false
  }
}

/** Wire the button, the input and the drop area of a page; ${chosen} gets lists of files. */
export function onChoose(chosen) {
  const input = byId('file')
  const drop = byId('drop')
  byId('browse').addEventListener('click', () => input.click())
  input.addEventListener('change', () => {
    const files = [...input.files]
    // So that choosing the same file again is a change.
    input.value = ''
    if (files.length > 0) chosen(files)
  })
  // Beside the area a dropped file would replace the page.
  for (const type of ['dragover', 'drop'])
    addEventListener(type, (event) => event.preventDefault())
  drop.addEventListener('dragover', () => drop.classList.add('over'))
  drop.addEventListener('dragleave', () => drop.classList.remove('over'))
  drop.addEventListener('drop', (event) => {
    drop.classList.remove('over')
    const files = [...(event.dataTransfer?.files || [])]
    if (files.length > 0) chosen(files)
  })
  show(byId('need-script'), false)
  show(byId('pick'))
}

/** Value of a number field: a whole number of at least 1, or what it was at first. */
export function numberOf(id) {
  const input = byId(id)
  const value = Number(input.value)
  const max = Number(input.max) || Number.MAX_SAFE_INTEGER
  if (Number.isInteger(value) && value >= 1 && value <= max) return value
  input.value = input.defaultValue
  return Number(input.defaultValue)
}
