// SPDX-License-Identifier: Apache-2.0
// The page of one upload: choose the file, send it, and see what becomes of it.
import * as api from './api.js'
import { byId, make, say, settings, show, statusUrl, t } from './common.js'
import * as choose from './file.js'
import * as format from './format.js'
import { Sender } from './sender.js'
import * as store from './store.js'

const result = byId('result')
const uploader = byId('uploader')
const id = result.dataset.id
let formName = result.dataset.name
const pageTitle = document.title
let sender = null
let watcher = null

/* --- what became of it --- */

function term(name, ...value) {
  return [make('dt', {}, name), make('dd', {}, ...value)]
}

function deliveryCard(delivery) {
  const good = delivery.status === 'SUCCESS'
  const list = make('dl')
  if (delivery.location)
    list.append(...term(t('location'), make('code', {}, delivery.location)))
  if (delivery.delivered_at) {
    const at = delivery.delivered_at
    list.append(...term(t('delivered_at'), make('time', { datetime: at }, format.time(at))))
  }
  for (const issue of delivery.issues || []) list.append(...term(t('issues'), issue.message))
  const mark = make('span', { class: 'mark' }, t(good ? 'delivered' : 'delivery_failed'))
  return make(
    'div',
    { class: `delivery ${good ? 'good' : 'bad'}` },
    make('h3', {}, `${delivery.name} `, mark),
    ...(list.children.length > 0 ? [list] : []),
  )
}

const statusTexts = {
  Initiated: 'status_initiated',
  'In Progress': 'status_in_progress',
  Complete: 'status_complete',
}
/** The size of the file where it is known, else what is there of it. */
function showSize(bytes, complete) {
  const whole = complete ? bytes : (sender?.file.size ?? store.get(id)?.size)
  let text = t('size_unknown')
  if (whole !== undefined) text = format.exactSize(whole)
  else if (bytes > 0) text = t('size_so_far', { size: format.exactSize(bytes) })
  byId('d-size').textContent = text
}

let shownDeliveries = null

/** Whether files of that stream are delivered anywhere; the older names of its keys count too. */
function isRouted(manifest) {
  if (!result.dataset.routed) return true
  const { streams } = JSON.parse(result.dataset.routed)
  const newer = `${manifest.data_stream_id}/${manifest.data_stream_route}`
  const older = `${manifest.meta_destination_id}/${manifest.meta_ext_event}`
  return [newer, older].some((stream) => streams.includes(stream.toLowerCase()))
}

/** Where tokens are needed the page comes without the details, which are for its owner. */
function fillIn({ manifest }) {
  const keys = ['filename', 'original_filename', 'meta_ext_filename', 'received_filename']
  formName = keys.map((key) => manifest[key]).find((name) => name !== undefined) || ''
  byId('d-sender').textContent = manifest.sender_id || ''
  byId('d-producer').textContent = manifest.data_producer_id || ''
  byId('d-stream').textContent = manifest.data_stream_id || ''
  byId('d-route').textContent = manifest.data_stream_route || ''
  byId('d-jurisdiction').textContent = manifest.jurisdiction || ''
}

function noneYet({ manifest }) {
  return t(isRouted(manifest) ? 'delivery_waiting' : 'delivery_nowhere')
}

function showInfo(info) {
  const status = info.upload_status.status
  if (!result.dataset.status) fillIn(info)
  result.dataset.status = status
  result.dataset.bytes = info.file_info?.size_bytes ?? 0
  if (!sender && uploader) {
    remember()
    askAgain()
  }
  const deliveries = info.deliveries || []
  const complete = status === 'Complete'
  const began = !complete && sender && sender.sent > 0 ? 'In Progress' : status
  byId('upload-status').textContent = t(statusTexts[began] || began)
  const now = JSON.stringify([complete, deliveries])
  // Said again only when it has changed: a screen reader would read it each time.
  if (now !== shownDeliveries) {
    shownDeliveries = now
    if (deliveries.length > 0) byId('deliveries').replaceChildren(...deliveries.map(deliveryCard))
    else if (complete) byId('deliveries').replaceChildren(make('p', {}, noneYet(info)))
  }
  showSize(info.file_info?.size_bytes ?? 0, complete)
  if (complete) {
    const failed = deliveries.some((delivery) => delivery.status !== 'SUCCESS')
    const delivered = deliveries.length > 0 && !failed
    store.update(id, { state: failed ? 'failed' : delivered ? 'delivered' : 'complete' })
    if (uploader && !uploader.hidden && !(sender && sender.state !== 'done')) showComplete()
  }
}

function showInfoProblem(error) {
  say(byId('info-problem'), error && error.status !== 404 ? t('info_failed') : '')
  if (error?.status === 404) {
    store.update(id, { state: 'gone' })
    if (uploader) problem(t('gone'))
  }
}

function showComplete() {
  show(uploader, false)
  const title = byId('title')
  title.textContent = formName || sender?.file.name || id
  title.tabIndex = -1
  title.focus()
  document.title = `${t('done')} – ${pageTitle}`
}

/* --- sending --- */

function problem(text) {
  say(byId('problem'), text)
}

function showSender() {
  const { state } = sender
  const text = sender.text()
  const focused = document.activeElement
  if (byId('state').textContent !== text) byId('state').textContent = text
  byId('bar').value = sender.percent()
  byId('figures').textContent = sender.figures()
  show(byId('pause'), state === 'uploading' || state === 'preparing')
  show(byId('resume'), state === 'paused')
  show(byId('retry'), state === 'waiting' || state === 'offline')
  // A button that goes away takes the keyboard's place with it.
  if (focused?.hidden) byId('progress').querySelector('button:not([hidden])')?.focus()
  byId('progress').dataset.state = state
  document.title = `${sender.percent()} % – ${pageTitle}`
  if (state === 'done') done()
  if (state === 'failed') {
    problem(text)
    show(byId('progress'), false)
    show(byId('pick'))
    document.title = pageTitle
  }
}

function done() {
  if (sender.finalId !== id) {
    const { name, size, sample, stream, route } = store.get(id) || {}
    store.remove(id)
    store.put(sender.finalId, { name, size, sample, stream, route, state: 'complete' })
    location.replace(statusUrl(sender.finalId))
    return
  }
  store.update(id, { state: 'complete' })
  byId('upload-status').textContent = t('status_complete')
  showComplete()
  watcher.poke()
}

/** Why the file can't be sent under this upload, or "". */
async function objection(file, sample) {
  const entry = store.get(id)
  const state = await api.head(id)
  const size = format.exactSize(file.size)
  const expected = state.length ?? (state.offset > 0 ? entry?.size : null) ?? null
  if (settings.max > 0 && file.size > settings.max)
    return t('too_large', { name: file.name, size, max: format.size(settings.max) })
  if (expected !== null && expected !== file.size)
    return t('other_size', { name: file.name, size, expected: format.exactSize(expected) })
  if (state.offset > 0 && entry?.sample && entry.sample !== sample)
    return t('other_content', { name: file.name })
  return ''
}

async function parallelOptions(parallel, sample) {
  if (parallel <= 1) return { parallel: 1 }
  const { manifest } = await api.info(id)
  const { upload_id, dex_ingest_datetime, ...own } = manifest
  return { parallel, sample, manifest: own }
}

async function send(file) {
  let sample
  try {
    sample = await choose.sampleOf(file)
  } catch {
    problem(t('folder'))
    return
  }
  let why, options
  const chunkSize = choose.numberOf('chunk')
  try {
    why = await objection(file, sample)
    if (!why) options = await parallelOptions(choose.numberOf('parallel'), sample)
  } catch (error) {
    if (api.isAboutToken(error.status)) {
      await api.askForToken()
      await send(file)
      return
    }
    if (error.status === 404 || error.status === 410) {
      problem(t('gone'))
      return
    }
    problem(t('info_failed'))
    setTimeout(() => send(file), 3000)
    return
  }
  if (!why && !(await store.claim(id))) why = t('other_tab')
  problem(why)
  if (why) {
    askAgain()
    return
  }
  store.put(id, {
    name: formName || file.name,
    size: file.size,
    sample,
    state: 'open',
    ...streamOf(),
  })
  const renamed = formName && formName !== file.name
  say(byId('note'), renamed ? t('other_name', { name: file.name, expected: formName }) : '')
  show(byId('pick'), false)
  show(byId('progress'))
  sender = new Sender(id, file, { chunkSize, ...options }, showSender)
  showSize(0, false)
  showSender()
  byId('pause').focus()
  await sender.go()
}

let choosing = false

async function chosen(files) {
  if (choosing || (sender && !['failed', 'done'].includes(sender.state))) return
  problem('')
  if (files.length > 1) {
    problem(t('one_file'))
    return
  }
  choosing = true
  await send(files[0])
  choosing = false
}

function cameFromForm() {
  if (!document.referrer.startsWith(`${location.origin}/`)) return false
  const path = new URL(document.referrer).pathname
  return path === `${settings.base}/manifest` || path === `${settings.base}/upload`
}

function streamOf() {
  return { stream: byId('d-stream').textContent, route: byId('d-route').textContent }
}

let remembered = false

/** Straight from the form: to be found again, should the page be closed before a file is chosen. */
function remember() {
  if (remembered) return
  remembered = true
  if (result.dataset.status === 'Initiated' && cameFromForm())
    store.put(id, { name: formName, ...streamOf() })
}

/** After a reload only the person can give the file to the page again. */
async function askAgain() {
  const again = byId('again')
  const refused = byId('problem').textContent === t('other_tab')
  if (await store.isElsewhere(id)) {
    say(again, refused ? '' : t('other_tab'))
    return
  }
  if (refused) problem('')
  if (result.dataset.status === 'Initiated') {
    say(again, '')
    return
  }
  const entry = store.get(id)
  const had = Number(result.dataset.bytes)
  if (entry?.size > 0 && entry.name)
    say(again, t('choose_again', { name: entry.name, percent: format.percent(had, entry.size) }))
  else say(again, t('choose_again_unnamed', { size: format.size(had) }))
}

function wireUploader() {
  choose.onChoose(chosen)
  if (result.dataset.status) {
    remember()
    askAgain()
  }
  byId('pause').addEventListener('click', () => {
    sender.pause()
    byId('resume').focus()
  })
  byId('resume').addEventListener('click', () => {
    sender.go()
    byId('pause').focus()
  })
  byId('retry').addEventListener('click', () => sender.go())
  addEventListener('beforeunload', (event) => {
    if (sender && !['done', 'failed'].includes(sender.state)) event.preventDefault()
  })
}

if (uploader) wireUploader()
for (const time of document.querySelectorAll('time')) time.textContent = format.time(time.dateTime)
showSize(Number(result.dataset.bytes), result.dataset.status === 'Complete')
watcher = api.watch(id, showInfo, showInfoProblem)
