// SPDX-License-Identifier: Apache-2.0
// Sizes and times as people read them.
import { t } from './common.js'

const units = ['kB', 'MB', 'GB', 'TB', 'PB']

export function size(bytes) {
  if (bytes < 1000) return t('bytes_n', { n: bytes })
  let value = bytes
  let unit = -1
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** With the exact number beside the round one. */
export function exactSize(bytes) {
  const exact = t('bytes_n', { n: bytes.toLocaleString(document.documentElement.lang) })
  return bytes < 1000 ? exact : `${size(bytes)} (${exact})`
}

/** Figures with dots between them: a narrow window breaks the line at a dot only. */
export function unbroken(figures) {
  return figures.replace(/(?<!·) (?!·)/g, '\u00a0')
}

export function percent(sent, total) {
  if (total === 0) return 100
  return Math.floor((sent / total) * 100)
}

export function timeLeft(seconds) {
  if (seconds < 90) return t('left_seconds', { n: Math.max(1, Math.ceil(seconds)) })
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 90) return t('left_minutes', { n: minutes })
  return t('left_hours', { h: Math.floor(minutes / 60), m: minutes % 60 })
}

/** ${at}: RFC 3339 or milliseconds. */
export function time(at, timeStyle = 'medium') {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return String(at)
  return date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle })
}
