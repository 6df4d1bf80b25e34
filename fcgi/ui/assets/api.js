// SPDX-License-Identifier: Apache-2.0
// The API: states of uploads, with the access token where one was given.
import { byId, settings, show, t } from './common.js'
import { onLogin } from './login.js'

const TOKEN = 'dex-token'
let tokenInMemory = ''

export class ApiError extends Error {
  constructor(status, text) {
    super(text || `HTTP ${status}`)
    this.status = status
  }
}

export function token() {
  try {
    return sessionStorage.getItem(TOKEN) || tokenInMemory
  } catch {
    return tokenInMemory
  }
}

function keepToken(value) {
  tokenInMemory = value
  try {
    sessionStorage.setItem(TOKEN, value)
  } catch {
    // It lasts until the page is left.
  }
}

export function isAboutToken(status) {
  return status === 401 || status === 403
}

function bearer() {
  return token() ? { Authorization: `Bearer ${token()}` } : {}
}

/** Whether requests carry the session of the browser, which a pasted token replaces. */
export function usesSession() {
  return settings.login && !token()
}

async function call(url, options = {}) {
  const headers = { ...options.headers, ...bearer() }
  const credentials = usesSession() ? 'include' : 'same-origin'
  const response = await fetch(url, { cache: 'no-store', credentials, ...options, headers })
  if (!response.ok) throw new ApiError(response.status, await response.text().catch(() => ''))
  return response
}

export async function info(id) {
  return (await call(settings.info + id)).json()
}

function numberOf(header) {
  return header === null || !/^\d+$/.test(header) ? null : Number(header)
}

/** What the service has of an upload: its offset, and its length or null. */
export async function head(id) {
  const response = await call(settings.files + id, {
    method: 'HEAD',
    headers: { 'Tus-Resumable': '1.0.0' },
  })
  return {
    offset: numberOf(response.headers.get('Upload-Offset')) ?? 0,
    length: numberOf(response.headers.get('Upload-Length')),
  }
}

export async function terminate(id) {
  await call(settings.files + id, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0' } })
}

let asking = null

/**
 * Ask the person for a token, or to log in in another tab; resolves when that was done. Several
 * callers share one question.
 */
export function askForToken() {
  if (asking) return asking
  const place = byId('token')
  const form = byId('token-form').content.cloneNode(true).firstElementChild
  const input = form.querySelector('input')
  const problem = form.querySelector('.error')
  if (token()) {
    problem.textContent = t('token_bad')
    show(problem)
  }
  asking = new Promise((resolve) => {
    const stop = onLogin(() => {
      keepToken('')
      done()
    })
    function done() {
      stop()
      place.replaceChildren()
      show(place, false)
      asking = null
      resolve()
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      if (!input.value.trim()) return
      keepToken(input.value.trim())
      done()
    })
  })
  place.replaceChildren(form)
  show(place)
  const first = form.querySelector('#token-login') || input
  first.focus()
  return asking
}

/** Send a form of the page, with a token where one is asked for: the response and its JSON. */
export async function postForm(form, data) {
  for (;;) {
    const headers = { Accept: 'application/json', ...bearer() }
    const body = new URLSearchParams(data)
    const response = await fetch(form.action, { method: 'POST', headers, body })
    const answer = await response.json().catch(() => ({}))
    if (!isAboutToken(response.status) || answer.error === 'ERR_CSRF') return { response, answer }
    await askForToken()
  }
}

/** Why a form was refused, from its answer. */
export function reasonOf({ response, answer }) {
  const errors = (answer.validation_errors || []).filter((text) => text !== 'validation failure')
  return errors.join('; ') || answer.error || `HTTP ${response.status}`
}

const FIRST_MS = 500
const LAST_MS = 15000

/**
 * Tell ${onInfo} the state of an upload again and again, quickly after a change and ever more
 * slowly while there is none; not while nobody sees the page. ${onProblem} is told of errors, and
 * null when it works again. Returns poke, which asks at once, and stop.
 */
export function watch(id, onInfo, onProblem) {
  let pause = FIRST_MS
  let timer = 0
  let running = false
  let again = false
  let stopped = false
  let last = ''

  async function ask() {
    if (running) {
      again = true
      return
    }
    clearTimeout(timer)
    running = true
    try {
      const state = await info(id)
      const text = JSON.stringify(state)
      if (text !== last) pause = FIRST_MS
      last = text
      onProblem(null)
      onInfo(state)
    } catch (error) {
      if (isAboutToken(error.status)) await askForToken()
      else if (error.status === 404) stopped = true
      onProblem(error)
    }
    running = false
    if (stopped) return
    if (again) pause = FIRST_MS
    timer = setTimeout(due, again ? 0 : pause)
    again = false
    pause = Math.min(pause * 1.5, LAST_MS)
  }
  function due() {
    if (!document.hidden) ask()
  }
  function poke() {
    pause = FIRST_MS
    if (!stopped) ask()
  }
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) poke()
  })
  addEventListener('online', poke)
  ask()
  return {
    poke,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
