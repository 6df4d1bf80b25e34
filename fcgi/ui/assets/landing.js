// SPDX-License-Identifier: Apache-2.0
// The landing page: routes that go with the chosen stream, and the uploads of this browser.
import * as api from './api.js'
import { byId, make, show, statusUrl, t } from './common.js'
import { size, time, unbroken } from './format.js'
import * as store from './store.js'

const ASKED_AT_ONCE = 20

function suggestRoutes() {
  const streams = JSON.parse(byId('stream-form').dataset.streams || '{}')
  const stream = byId('data_stream_id')
  const route = byId('data_stream_route')
  const list = byId('routes')
  const everything = [...list.children]
  let filledIn = ''

  function narrow() {
    const routes = Object.hasOwn(streams, stream.value) ? streams[stream.value] : null
    if (!routes) {
      list.replaceChildren(...everything)
      return
    }
    list.replaceChildren(...routes.map((value) => make('option', { value })))
    // Where there is just one it need not be typed, unless somebody has typed something.
    if (routes.length === 1 && (route.value === '' || route.value === filledIn)) {
      filledIn = routes[0]
      route.value = filledIn
    }
  }
  stream.addEventListener('input', narrow)
  narrow()
}

const badges = {
  open: ['list_unfinished', 'waiting'],
  complete: ['list_sent', 'waiting'],
  delivered: ['delivered', 'good'],
  failed: ['list_failed', 'bad'],
  gone: ['list_gone', 'bad'],
}

function row(entry) {
  const [text, look] = badges[entry.state] || badges.open
  const name = entry.name || entry.id
  const label = t(entry.state === 'open' ? 'list_go_on' : 'list_open', { name })
  return make(
    'li',
    { class: 'entry' },
    make('a', { href: statusUrl(entry.id), 'aria-label': label }, name),
    make('span', { class: `mark ${look}` }, t(text)),
    make(
      'span',
      { class: 'meta' },
      unbroken(
        [
          entry.stream && `${entry.stream} / ${entry.route}`,
          entry.size >= 0 && size(entry.size),
          entry.at && time(entry.at, 'short'),
        ]
          .filter(Boolean)
          .join(' · '),
      ),
    ),
    make(
      'button',
      {
        type: 'button',
        class: 'plain',
        'aria-label': t('list_remove', { name }),
        onclick: () => {
          store.remove(entry.id)
          render()
          byId('uploads').querySelector('a, button')?.focus()
        },
      },
      t('remove'),
    ),
  )
}

function render() {
  const list = store.all()
  byId('upload-list').replaceChildren(...list.map(row))
  show(byId('uploads-none'), list.length === 0)
  show(byId('uploads'))
}

function stateOf(info) {
  if (info.upload_status.status !== 'Complete') return 'open'
  const deliveries = info.deliveries || []
  if (deliveries.some((delivery) => delivery.status !== 'SUCCESS')) return 'failed'
  return deliveries.length > 0 ? 'delivered' : 'complete'
}

/** Bring what is remembered up to date. */
async function refresh() {
  const due = store
    .all()
    .filter((entry) => !['gone', 'delivered'].includes(entry.state))
    .slice(0, ASKED_AT_ONCE)
  for (const entry of due) {
    try {
      store.update(entry.id, { state: stateOf(await api.info(entry.id)) })
    } catch (error) {
      if (error.status === 404) store.update(entry.id, { state: 'gone' })
      else return
    }
    render()
  }
}

suggestRoutes()
render()
store.onChange(render)
refresh()
