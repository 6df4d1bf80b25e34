// SPDX-License-Identifier: Apache-2.0
// The script of the upload page: each page has a module of its own, loaded when it is needed.
import { announce } from './login.js'

const pages = {
  landing: () => import('./landing.js'),
  manifest: () => import('./details.js'),
  status: () => import('./status.js'),
}

announce()
const load = pages[document.body.dataset.page]
if (load) load()
