// SPDX-License-Identifier: Apache-2.0
// Sends one file: tus-js-client moves the bytes; here is what happens when that fails. It goes on
// by itself after a lost connection, a busy service, a sleeping computer and a missing token.
import { Upload } from 'tus-js-client'
import * as api from './api.js'
import { settings, t } from './common.js'
import * as format from './format.js'
import { isReadable } from './file.js'

const STALL_MS = 45000
/** Joining the parts of a large file may take the service a while. */
const FINISH_MS = 600000
const PAUSES_S = [1, 2, 4, 8, 15, 30]
const CONFLICTS_MAX = 6
const RATE_MS = 8000
const TICK_MS = 1000

export class Sender {
  /**
   * ${changed} is called whenever something that is shown has changed. ${options}: chunkSize,
   * parallel; manifest and sample where parallel is above 1.
   */
  constructor(id, file, options, changed) {
    this.id = id
    this.file = file
    this.options = options
    this.changed = changed
    this.state = 'preparing' // uploading, paused, waiting, offline, token, done, failed
    this.problem = ''
    this.sent = 0
    this.stored = 0 // as the service said last
    this.tries = 0
    this.conflicts = 0
    this.marks = []
    this.timer = 0
    this.pauseLeft = 0
    this.turn = 0
    this.upload = this.makeSingle()
    this.onOnline = () => {
      if (this.state === 'offline' || this.state === 'waiting') this.go()
    }
    addEventListener('online', this.onOnline)
  }

  common() {
    return {
      chunkSize: this.options.chunkSize,
      retryDelays: null, // failed() decides
      onBeforeRequest: (request) => this.prepare(request),
      onAfterResponse: (request, response) => this.answered(request, response),
      onProgress: (sent) => this.progress(sent),
      onError: (error) => this.failed(error),
    }
  }

  /** The upload that is there already; its length is declared with the first bytes. */
  makeSingle() {
    return new Upload(this.file, {
      ...this.common(),
      // Without an end point: an upload that is gone must not be begun anew behind our back.
      uploadUrl: settings.files + this.id,
      uploadLengthDeferred: true,
      storeFingerprintForResuming: false,
      onSuccess: () => this.finished(this.id),
    })
  }

  /** Parts side by side, which the service joins to an upload of another id. */
  makeParallel() {
    const { manifest, sample, parallel } = this.options
    return new Upload(this.file, {
      ...this.common(),
      endpoint: settings.files,
      parallelUploads: Math.max(1, Math.min(parallel, this.file.size)),
      metadata: manifest,
      fingerprint: async () => `dex-parts-${this.id}-${this.file.size}-${sample}`,
      removeFingerprintOnSuccess: true,
      onSuccess: () => this.joined(),
    })
  }

  prepare(request) {
    const secret = api.token()
    if (secret) request.setHeader('Authorization', `Bearer ${secret}`)
    else if (api.usesSession()) request.getUnderlyingObject().withCredentials = true
    const single = this.options.parallel <= 1
    if (single && request.getMethod() === 'PATCH' && !request.getHeader('Upload-Length'))
      request.setHeader('Upload-Length', String(this.file.size))
  }

  set(state, problem = '') {
    this.state = state
    this.problem = problem
    this.changed(this)
  }

  /** Start, or go on with what the service has. */
  async go() {
    clearInterval(this.timer)
    if (!navigator.onLine) {
      this.set('offline')
      return
    }
    this.marks = []
    this.heard = Date.now()
    this.timer = setInterval(() => this.tick(), TICK_MS)
    this.set('uploading')
    const turn = ++this.turn
    // What is still on its way would be sent twice.
    await this.upload.abort()
    if (this.options.parallel > 1) {
      // An aborted upload in parts is silent about errors ever after; a new one finds its parts.
      this.upload = this.makeParallel()
      const earlier = await this.upload.findPreviousUploads()
      if (earlier.length > 0) this.upload.resumeFromPreviousUpload(earlier[0])
    }
    // Pressed and told by the browser at the same moment: once is enough.
    if (this.state === 'uploading' && turn === this.turn) this.upload.start()
  }

  async pause() {
    clearInterval(this.timer)
    this.set('paused')
    await this.upload.abort()
  }

  /** A connection may die without a word, as when a computer sleeps. */
  tick() {
    const limit = this.sent >= this.file.size ? FINISH_MS : STALL_MS
    if (this.state === 'uploading' && Date.now() - this.heard > limit) {
      this.upload.abort()
      this.again('retrying')
      return
    }
    this.changed(this)
  }

  /**
   * What was sent may have been lost on its way: only what the service says that it has is headway,
   * and is what is shown when it goes on. Of parts side by side each has an offset of its own.
   */
  answered(request, response) {
    const told = response.getHeader('Upload-Offset')
    if (response.getStatus() >= 300 || !told) return
    const offset = Number(told)
    const single = this.options.parallel <= 1
    if (!single && request.getMethod() !== 'PATCH') return
    if (!single || offset > this.stored) {
      this.tries = 0
      this.conflicts = 0
    }
    if (!single) return
    this.stored = offset
    this.sent = offset
  }

  progress(sent) {
    if (this.state !== 'uploading') return
    const now = Date.now()
    this.sent = sent
    this.heard = now
    this.marks.push({ now, sent })
    while (this.marks.length > 2 && now - this.marks[0].now > RATE_MS) this.marks.shift()
    this.changed(this)
  }

  /** Bytes a second over the last seconds, 0 when not known. */
  rate() {
    const first = this.marks[0]
    const last = this.marks[this.marks.length - 1]
    if (!first || last.now - first.now < 500) return 0
    return Math.max(0, ((last.sent - first.sent) * 1000) / (last.now - first.now))
  }

  percent() {
    return format.percent(Math.min(this.sent, this.file.size), this.file.size)
  }

  figures() {
    const rate = this.state === 'uploading' ? this.rate() : 0
    const total = this.file.size
    const sent = Math.min(this.sent, total)
    const values = { percent: this.percent(), sent: format.size(sent), size: format.size(total) }
    // Not in the text of the state, which a screen reader would read anew each second.
    values.seconds = this.pauseLeft
    const still = this.state === 'waiting' ? 'figures_next' : 'figures'
    if (rate <= 0) return format.unbroken(t(still, values))
    values.rate = format.size(Math.round(rate))
    values.left = format.timeLeft((total - sent) / rate)
    return format.unbroken(t('figures_rate', values))
  }

  text() {
    switch (this.state) {
      case 'uploading':
        return t(this.file.size > 0 && this.sent >= this.file.size ? 'finishing' : 'uploading')
      case 'waiting':
      case 'failed':
        return this.problem
      case 'token':
        return t(settings.login ? 'needs_login' : 'needs_token')
      default:
        return t(this.state)
    }
  }

  /** Try again after a pause that grows, or at once when the network comes back. */
  again(text) {
    clearInterval(this.timer)
    if (!navigator.onLine) {
      this.set('offline')
      return
    }
    this.pauseLeft = PAUSES_S[Math.min(this.tries++, PAUSES_S.length - 1)]
    this.set('waiting', t(text))
    this.timer = setInterval(() => {
      if (--this.pauseLeft <= 0) this.go()
      else this.changed(this)
    }, TICK_MS)
  }

  fail(text) {
    clearInterval(this.timer)
    removeEventListener('online', this.onOnline)
    this.set('failed', text)
  }

  async failed(error) {
    const status = error.originalResponse?.getStatus() || 0
    if (this.state !== 'uploading') return
    clearInterval(this.timer)
    if (status === 0) {
      const readable = await isReadable(this.file)
      if (this.state !== 'uploading') return
      if (readable) this.again('retrying')
      else this.fail(t('unreadable'))
    } else if (api.isAboutToken(status)) {
      this.set('token')
      await api.askForToken()
      this.go()
    } else if (status === 404 || status === 410) {
      this.fail(t('gone'))
    } else if (status >= 500 || [408, 409, 423, 429].includes(status)) {
      if (status === 409 && ++this.conflicts > CONFLICTS_MAX) this.refused(error)
      else this.again(status === 409 || status === 423 ? 'retrying' : 'busy')
    } else {
      this.refused(error)
    }
  }

  refused(error) {
    const body = error.originalResponse?.getBody() || ''
    let reason = body.trim()
    try {
      const errors = JSON.parse(body).validation_errors
      reason = errors.filter((text) => text !== 'validation failure').join('; ')
    } catch {
      // Other refusals are plain text.
    }
    this.fail(t('refused', { reason: reason || error.message }))
  }

  async joined() {
    const id = this.upload.url.split('/').pop()
    // The upload that the form made stays empty; when it can't be removed it expires.
    await api.terminate(this.id).catch(() => {})
    this.finished(id)
  }

  finished(id) {
    clearInterval(this.timer)
    removeEventListener('online', this.onOnline)
    this.finalId = id
    this.sent = this.file.size
    this.set('done')
  }
}
