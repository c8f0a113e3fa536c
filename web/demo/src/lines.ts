/** A line of a JSON document, and whether it was otherwise, or not there, in the one before. */
export interface Line {
  text: string
  changed: boolean
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** Lays a document out in lines, each with whether it differs from the document before. What is gone has no line; its parent tells. */
export function linesOf(now: unknown, before?: unknown): Line[] {
  const lines: Line[] = []
  lay(now as Json, before as Json | undefined, before !== undefined, 0, '', '', lines)
  return lines
}

function lay(now: Json, before: Json | undefined, compared: boolean, depth: number, name: string, end: string, lines: Line[]): void {
  const indent = '  '.repeat(depth)
  const put = (text: string, changed: boolean) => lines.push({ text: indent + text, changed: compared && changed })
  if (typeof now !== 'object' || now === null) {
    put(name + JSON.stringify(now) + end, now !== before)
    return
  }
  const list = Array.isArray(now)
  const was = typeof before === 'object' && before !== null && Array.isArray(before) === list ? (before as Record<string, Json>) : undefined
  const names = Object.keys(now)
  const gone = was !== undefined && Object.keys(was).some((n) => !Object.hasOwn(now, n))
  if (names.length === 0) {
    put(name + (list ? '[]' : '{}') + end, was === undefined || gone)
    return
  }
  put(name + (list ? '[' : '{'), was === undefined || gone)
  for (const [i, n] of names.entries()) {
    const inner = was && Object.hasOwn(was, n) ? was[n] : undefined
    lay((now as Record<string, Json>)[n]!, inner, compared, depth + 1, list ? '' : JSON.stringify(n) + ': ', i < names.length - 1 ? ',' : '', lines)
  }
  put((list ? ']' : '}') + end, was === undefined)
}
