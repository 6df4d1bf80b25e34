// SPDX-License-Identifier: Apache-2.0
// The form for the details of a file.
import * as api from './api.js'
import { byId, make, say, settings, show, t } from './common.js'

/** A button that takes a file's name: nothing of the file itself is read. */
function offerNames() {
  for (const button of document.querySelectorAll('[data-take-name]')) {
    const field = byId(button.dataset.takeName)
    const input = make('input', { type: 'file' })
    input.addEventListener('change', () => {
      if (input.files.length === 0) return
      field.value = input.files[0].name
      field.focus()
    })
    button.addEventListener('click', () => input.click())
    show(button)
  }
}

/** Where a token is needed the form goes out by script: a browser's own forms have no token. */
function sendWithToken(form) {
  const problem = make('p', { class: 'alert bad', role: 'alert' })
  show(problem, false)
  form.before(problem)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    try {
      const sent = await api.postForm(form, new FormData(form))
      if (sent.response.ok) location.assign(sent.answer.status_url)
      else say(problem, t('many_refused', { reason: api.reasonOf(sent) }))
    } catch {
      say(problem, t('info_failed'))
    }
  })
}

offerNames()
if (settings.auth && !byId('many')) sendWithToken(byId('manifest-form'))
byId('errors')?.focus()
if (byId('many')) import('./many.js')
