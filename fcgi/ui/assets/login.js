// SPDX-License-Identifier: Apache-2.0
// Tabs tell each other that somebody has logged in: one that was asked to wait goes on.
import { settings } from './common.js'

const CHANNEL = 'dex-login'

/** A page that came with a session tells the other tabs. */
export function announce() {
  if (!settings.user) return
  const channel = new BroadcastChannel(CHANNEL)
  channel.postMessage('in')
  channel.close()
}

/** Call back when another tab has logged in. Returns what ends the listening. */
export function onLogin(callback) {
  if (!settings.login) return () => {}
  const channel = new BroadcastChannel(CHANNEL)
  channel.addEventListener('message', callback)
  return () => channel.close()
}
