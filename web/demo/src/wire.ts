import type { Exchange } from './lab.ts'

/** What an assertion, a JWT, says; undefined if it is none. Nobody here verifies it: the host does. */
export function claimsOf(jwt: unknown): Record<string, unknown> | undefined {
  const part = typeof jwt === 'string' ? /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(jwt)?.[1] : undefined
  if (!part) return undefined
  try {
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Whether two answers tell the same. An assertion is signed anew each time it is told: what it says is what counts. */
export function sameAnswer(a: unknown, b: unknown): boolean {
  return JSON.stringify(told(a)) === JSON.stringify(told(b))
}

function told(answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null || !('assertion' in answer)) return answer
  return { ...answer, assertion: claimsOf(answer.assertion) ?? answer.assertion }
}

/** The request as a command for a shell. */
export function curlOf(e: Exchange, origin: string): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
  const parts = ['curl -sS', ...(e.method === 'GET' || (e.method === 'POST' && e.request !== undefined) ? [] : [`-X ${e.method}`]), quoted(origin + e.path)]
  for (const [name, value] of Object.entries(e.headers)) parts.push(`-H ${quoted(`${name}: ${value}`)}`)
  if (e.request !== undefined) parts.push(`-d ${quoted(JSON.stringify(e.request))}`)
  return parts.join(' \\\n  ')
}
