// What must outlive a reload of the page, in this tab alone: sessionStorage, and memory where a browser forbids it.

const memory = new Map<string, string>()
const prefix = 'nightlatch.'

/** Keeps a value under a name, as JSON, until it is forgotten or the tab closes. */
export function keep(name: string, value: unknown): void {
  const text = JSON.stringify(value)
  memory.set(name, text)
  try {
    sessionStorage.setItem(prefix + name, text)
  } catch {
    // Blocked or full: a reload forgets it, and nothing else changes.
  }
}

/** What was kept; undefined if nothing was, or it is not what anybody here wrote. */
export function kept<T>(name: string): T | undefined {
  let text: string | null | undefined
  try {
    text = sessionStorage.getItem(prefix + name)
  } catch {
    text = null
  }
  text ??= memory.get(name)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as T
  } catch {
    return undefined
  }
}

/** Forgets what was kept under a name. */
export function forget(name: string): void {
  memory.delete(name)
  try {
    sessionStorage.removeItem(prefix + name)
  } catch {
    // It was never stored.
  }
}
