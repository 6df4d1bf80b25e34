// SPDX-License-Identifier: Apache-2.0
// Several files under the same details: each becomes an upload of its own, some at a time.
import * as api from './api.js'
import { byId, make, say, settings, show, statusUrl, t } from './common.js'
import * as choose from './file.js'
import * as format from './format.js'
import { Sender } from './sender.js'
import * as store from './store.js'

// A browser opens six connections to a service; one is left for asking how things are.
const AT_ONCE = 5
const RETRY_MS = 3000

const form = byId('manifest-form')
const start = byId('many-start')
const items = []
let started = false
let details = null // of the form, as they were when sending began

function problem(text) {
  say(byId('problem'), text)
}

/* --- one file --- */

class Item {
  constructor(file) {
    this.file = file
    this.state = 'queued'
    const name = file.name
    this.title = make('span', { class: 'name' }, name)
    this.size = make('span', { class: 'meta' }, format.size(file.size))
    this.text = make('span', { class: 'mark', role: 'status' })
    this.bar = make('progress', { max: 100, value: 0, 'aria-label': t('progress_name', { name }) })
    this.figures = make('p', { class: 'figures' })
    this.place = make('p', { class: 'figures' })
    this.toggle = make('button', { type: 'button', class: 'plain', onclick: () => this.press() })
    this.remove = make(
      'button',
      {
        type: 'button',
        class: 'plain',
        'aria-label': t('list_remove', { name }),
        onclick: () => drop(this),
      },
      t('remove'),
    )
    this.row = make(
      'li',
      { class: 'entry file' },
      this.title,
      this.text,
      this.size,
      this.toggle,
      this.remove,
      this.bar,
      this.figures,
      this.place,
    )
    this.draw()
  }

  press() {
    if (this.sender.state === 'paused') this.sender.go()
    else this.sender.pause()
  }

  draw() {
    const { sender } = this
    const running = sender && ['uploading', 'preparing'].includes(sender.state)
    const paused = sender?.state === 'paused'
    const text = this.problem || (sender ? sender.text() : started ? t(this.state) : '')
    if (this.text.textContent !== text) this.text.textContent = text
    show(this.text, Boolean(text))
    const bad = this.problem || sender?.state === 'failed'
    this.text.className = `mark ${bad ? 'bad' : this.state === 'delivered' ? 'good' : 'waiting'}`
    show(this.toggle, running || paused)
    this.toggle.textContent = t(paused ? 'resume' : 'pause')
    const label = paused ? 'resume_name' : 'pause_name'
    this.toggle.setAttribute('aria-label', t(label, { name: this.file.name }))
    show(this.remove, !started)
    show(this.bar, Boolean(sender) && !bad)
    if (sender) this.bar.value = sender.percent()
    say(this.figures, sender && sender.state !== 'done' && !bad ? sender.figures() : '')
    show(this.size, this.figures.hidden)
  }

  fail(text) {
    this.problem = text
    this.state = 'failed'
    this.draw()
  }

  /** Make the upload, or find the one that was begun for this very file and these details. */
  async findOrCreate() {
    const sample = await choose.sampleOf(this.file).catch(() => null)
    if (sample === null) throw new Error(t('folder'))
    if (settings.max > 0 && this.file.size > settings.max) {
      const max = format.size(settings.max)
      throw new Error(
        t('too_large', { name: this.file.name, size: format.size(this.file.size), max }),
      )
    }
    const data = detailsOf(this.file.name)
    const sum = formSum(data)
    const { name, size } = this.file
    const known = store
      .all()
      .find((e) => e.state === 'open' && e.form === sum && e.sample === sample && e.size === size)
    const id = known && (await mayGoOn(known.id)) ? known.id : await create(data)
    await store.claim(id)
    const stream = data.get('data_stream_id')
    const route = data.get('data_stream_route')
    store.put(id, { name, size, sample, stream, route, form: sum, state: 'open' })
    return id
  }

  async run() {
    this.state = 'preparing'
    this.draw()
    while (!this.id) {
      try {
        this.id = await this.findOrCreate()
      } catch (error) {
        if (!error.passing) {
          this.fail(error.message)
          return
        }
        this.problem = t(navigator.onLine ? 'busy' : 'offline')
        this.draw()
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
        this.problem = ''
      }
    }
    const link = make(
      'a',
      { href: statusUrl(this.id), 'aria-label': t('show_status', { name: this.file.name }) },
      this.file.name,
    )
    this.title.replaceChildren(link)
    await new Promise((resolve) => {
      const options = { chunkSize: choose.numberOf('chunk'), parallel: 1 }
      this.sender = new Sender(this.id, this.file, options, () => {
        this.draw()
        if (['done', 'failed'].includes(this.sender.state)) resolve()
      })
      this.draw()
      this.sender.go()
    })
    this.state = this.sender.state
    if (this.state === 'done') {
      store.update(this.id, { state: 'complete' })
      this.follow()
    }
  }

  /** Until it is known where the file was delivered. */
  follow() {
    const watcher = api.watch(
      this.id,
      (info) => {
        const deliveries = info.deliveries || []
        if (deliveries.length === 0) return
        const failed = deliveries.find((delivery) => delivery.status !== 'SUCCESS')
        this.state = failed ? 'failed' : 'delivered'
        store.update(this.id, { state: this.state })
        const places = deliveries.map((d) => `${d.name}: ${d.location || d.issues?.[0]?.message}`)
        say(this.place, places.join(' · '))
        this.problem = failed ? t('delivery_failed') : t('delivered')
        this.draw()
        this.text.className = `mark ${failed ? 'bad' : 'good'}`
        show(this.bar, false)
        if (!failed) watcher.stop()
      },
      () => {},
    )
  }
}

/* --- the details --- */

function detailsOf(filename) {
  const data = new FormData()
  for (const [name, value] of details) data.set(name, value)
  for (const field of form.querySelectorAll('[data-filename]')) data.set(field.name, filename)
  return data
}

function formSum(data) {
  const pairs = [...data].filter(([name]) => name !== 'csrf_token')
  return choose.sumOf(JSON.stringify(pairs))
}

/** Whether an upload is still there and no other tab sends it. */
async function mayGoOn(id) {
  try {
    await api.head(id)
    return await store.claim(id)
  } catch {
    return false
  }
}

/** What may go better the next time. */
function passing() {
  return Object.assign(new Error(), { passing: true })
}

async function create(data) {
  const sent = await api.postForm(form, data).catch(() => {
    throw passing()
  })
  if (sent.response.ok) return sent.answer.id
  if (sent.response.status >= 500) throw passing()
  throw new Error(t('many_refused', { reason: api.reasonOf(sent) }))
}

/* --- all of them --- */

function summary() {
  const complete = items.filter((item) => ['done', 'delivered'].includes(item.state)).length
  const values = { done: complete, n: items.length }
  byId('many-summary').textContent = started ? t('many_summary', values) : ''
}

function drawStart() {
  const n = items.length
  show(byId('many-list'), n > 0)
  show(start, n > 0 && !started)
  start.textContent = n === 1 ? t('many_start_one') : t('many_start', { n })
}

function drop(item) {
  items.splice(items.indexOf(item), 1)
  item.row.remove()
  drawStart()
  byId('browse').focus()
}

function isKnown(file) {
  return items.some(
    ({ file: other }) =>
      other.name === file.name &&
      other.size === file.size &&
      other.lastModified === file.lastModified,
  )
}

function chosen(files) {
  problem('')
  for (const file of files) {
    if (isKnown(file)) continue
    const item = new Item(file)
    items.push(item)
    byId('many-list').append(item.row)
  }
  drawStart()
  if (started) runAll()
}

let workers = 0

async function runAll() {
  while (workers < AT_ONCE) {
    const item = items.find((i) => i.state === 'queued')
    if (!item) break
    workers++
    item.run().finally(() => {
      workers--
      summary()
      runAll()
    })
  }
  summary()
}

start.addEventListener('click', () => {
  if (!form.reportValidity()) {
    problem(t('many_invalid'))
    return
  }
  problem('')
  started = true
  details = [...new FormData(form)]
  for (const field of form.querySelectorAll('input, select')) field.disabled = true
  for (const item of items) item.draw()
  drawStart()
  runAll()
})
form.addEventListener('submit', (event) => event.preventDefault())
addEventListener('beforeunload', (event) => {
  const busy = items.some((i) => i.sender && !['done', 'failed'].includes(i.sender.state))
  if (busy) event.preventDefault()
})
choose.onChoose(chosen)
