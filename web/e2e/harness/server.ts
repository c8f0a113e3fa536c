import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { program } from './setup.ts'

export interface Mail {
  id: string
  at: string
  to: string[]
  subject: string
  text: string
  html: string
}

/** The program under test, on a port and in a data directory of its own. */
export class Server {
  url = ''
  serviceKey = ''
  /** How far its clock is ahead of the real one, in seconds. */
  offset = 0
  #process: ChildProcess | undefined
  readonly #data = mkdtempSync(join(tmpdir(), 'nightlatch-e2e-'))

  async start(policy = 'standard'): Promise<void> {
    const process = spawn(program, ['dev', '-addr', '127.0.0.1:0', '-data', join(this.#data, 'data'), '-policy', policy, '-quiet'])
    this.#process = process
    let said = ''
    process.stderr.on('data', (text) => (said += text))
    await new Promise<void>((ready, failed) => {
      process.once('exit', () => failed(new Error('the program ended at once:\n' + said)))
      createInterface(process.stdout).on('line', (line) => {
        said += line + '\n'
        this.url ||= /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0] ?? ''
        this.serviceKey ||= /service key: (\S+)/.exec(line)?.[1] ?? ''
        if (this.serviceKey) ready()
      })
    })
  }

  /** Ends it; the data directory stays for another start. */
  async stop(): Promise<void> {
    const process = this.#process
    this.#process = undefined
    if (!process || process.exitCode !== null) return
    const ended = new Promise((resolve) => process.once('exit', resolve))
    process.kill('SIGTERM')
    await ended
  }

  async remove(): Promise<void> {
    await this.stop()
    rmSync(this.#data, { recursive: true, force: true })
  }

  /** Sends JSON and returns the answer's body, whatever its status. */
  async ask(method: string, path: string, body?: unknown, token?: string): Promise<any> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...(body ? { 'content-type': 'application/json' } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const text = await answer.text()
    return text ? JSON.parse(text) : {}
  }

  /** Moves its clock on, by seconds. */
  async wind(seconds: number): Promise<void> {
    this.offset += seconds
    await this.ask('POST', '/dev/clock', { offset_seconds: this.offset })
  }

  now(): number {
    return Date.now() + this.offset * 1000
  }

  policy(settings: Record<string, unknown>): Promise<any> {
    return this.ask('POST', '/dev/policy', settings)
  }

  admin(operation: string, user: string): Promise<any> {
    return this.ask('POST', '/dev/admin', { operation, user, operator: 'olga@example.com', reason: 'asked by phone' })
  }

  /** Brings an authenticator along from another system. */
  import(user: string, authenticator: Record<string, unknown>): Promise<any> {
    return this.ask('POST', '/dev/admin', { operation: 'import', user, operator: 'olga@example.com', reason: 'the move', import: authenticator })
  }

  /** What the host reports. */
  report(user: string, event: Record<string, unknown>): Promise<any> {
    return this.ask('POST', `/v1/users/${user}/events`, event, this.serviceKey)
  }

  /** The newest mail with such a subject, once it is there. */
  async mail(subject: RegExp, to?: string): Promise<Mail> {
    for (let tried = 0; tried < 100; tried++) {
      const all: Mail[] = await this.ask('GET', '/dev/mail.json')
      const found = all.find((m) => subject.test(m.subject) && (!to || m.to.includes(to)))
      if (found) return found
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`no mail with ${subject} has come`)
  }

  /** The link of a mail to one of our pages: its purpose and token. */
  link(mail: Mail, purpose: string): string {
    const found = new RegExp(`#/reset/${purpose}/(\\S+)`).exec(mail.text)?.[1]
    if (!found) throw new Error(`no link to ${purpose} in:\n${mail.text}`)
    return found
  }
}
