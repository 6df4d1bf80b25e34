// SPDX-License-Identifier: Apache-2.0
// The uploads of this browser, newest first. An entry: id, name, size and sample of its file,
// stream, route, at (ms), form (the sum of its details), and state: open, complete, delivered,
// failed or gone.

const KEY = 'dex-uploads'
const MAX = 200

export function all() {
  try {
    const list = JSON.parse(localStorage.getItem(KEY) || '[]')
    return Array.isArray(list) ? list.filter((entry) => entry && typeof entry.id === 'string') : []
  } catch {
    return []
  }
}

function save(list) {
  try {
    localStorage.setItem(KEY, JSON.stringify(list.slice(0, MAX)))
  } catch {
    // A browser that keeps nothing still sends files; only the list is lost.
  }
}

export function get(id) {
  return all().find((entry) => entry.id === id) || null
}

/** Add an entry, or change what is given of the one with that id. */
export function put(id, changes) {
  const list = all()
  const known = list.find((entry) => entry.id === id)
  if (known) Object.assign(known, changes)
  else list.unshift({ id, at: Date.now(), state: 'open', ...changes })
  save(list)
}

/** Change an entry only where there is one. */
export function update(id, changes) {
  if (get(id)) put(id, changes)
}

export function remove(id) {
  save(all().filter((entry) => entry.id !== id))
}

/** Call back when another tab has changed the list. */
export function onChange(callback) {
  addEventListener('storage', (event) => {
    if (event.key === KEY || event.key === null) callback()
  })
}

const claimed = new Set()

function lockOf(id) {
  return `dex-upload-${id}`
}

/** Whether another tab has taken an upload, where the browser can tell. */
export async function isElsewhere(id) {
  if (!navigator.locks || claimed.has(id)) return false
  const { held } = await navigator.locks.query()
  return held.some((lock) => lock.name === lockOf(id))
}

/** Take an upload for this tab for as long as it is open; false where another tab has it. */
export function claim(id) {
  // Browsers offer locks only to pages they trust (HTTPS or this very computer).
  if (!navigator.locks || claimed.has(id)) return Promise.resolve(true)
  return new Promise((resolve) => {
    navigator.locks.request(lockOf(id), { ifAvailable: true }, (lock) => {
      if (lock) claimed.add(id)
      resolve(lock !== null)
      return lock && new Promise(() => {})
    })
  })
}
