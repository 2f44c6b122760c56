// Node.js with nothing but its own modules: http, crypto, and sqlite since version 22.
//
// The other language's naive server. Node's SQLite is synchronous, so the whole process waits for
// the disk with each commit and answers nobody else meanwhile. Run:
// SIGNING_KEY=… node node_sqlite.mjs PORT FILE

import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { DatabaseSync } from 'node:sqlite'

const [port, file] = process.argv.slice(2)
const db = new DatabaseSync(file)
db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
db.exec('CREATE TABLE IF NOT EXISTS events (event_id TEXT PRIMARY KEY, body BLOB NOT NULL)')
const insert = db.prepare('INSERT OR IGNORE INTO events (event_id, body) VALUES (?, ?)')

function isGenuine(headers, body) {
  const digest = createHmac('sha256', process.env.SIGNING_KEY)
    .update(`v0:${headers['x-cio-timestamp']}:`)
    .update(body)
    .digest('hex')
  const claimed = headers['x-cio-signature'] ?? ''
  return claimed.length === digest.length && timingSafeEqual(Buffer.from(digest), Buffer.from(claimed))
}

function receive(headers, body) {
  if (!isGenuine(headers, body)) return 401
  let event
  try {
    event = JSON.parse(body)
  } catch {
    return 400
  }
  if (typeof event?.event_id !== 'string') return 400
  insert.run(event.event_id, body)
  return 200
}

const server = createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    response.writeHead(receive(request.headers, Buffer.concat(chunks)), { 'content-length': 0 })
    response.end()
  })
})
server.listen(Number(port), '127.0.0.1')
process.on('SIGTERM', () => process.exit(0))
