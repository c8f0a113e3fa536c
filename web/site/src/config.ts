import { presets, type Preset } from './presets.ts'

/** What config.json, beside index.html, says where the pages are deployed. */
export interface Config {
  /** Where the API is: an https address without a slash at its end. */
  api: string
  /** The application's name, as its users know it. */
  app: string
  /** Whose words are spoken. */
  preset: Preset
  /** Where people write to: a mail address. */
  support: string
  /** Where users change their password. */
  password_url: string
  /**
   * Where users sign in. With a mailed link it is opened with `#reset-token=…`, for the sign-in element. For a reviewer it is
   * opened with the parameter `return`: after a sign-in with two factors the application goes there, with a slash and the
   * session's token at the end. It must do so for these pages' own address only.
   */
  sign_in_url: string
}

/** Checks a configuration. The error names every member that is not right, so that a deployment is mended in one go. */
export function configOf(json: unknown): Config {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('config.json: must be a JSON object')
  const given = json as Record<string, unknown>
  const wrong: string[] = []
  const check = (name: keyof Config, what: string, right: (value: string) => boolean) => {
    const value = given[name]
    if (typeof value !== 'string' || !right(value)) wrong.push(`${name} must be ${what}`)
  }
  check('api', 'an https address without a query and without a slash at its end', (v) => isAddress(v) && !/[?#]|\/$/.test(v))
  check('app', 'the name of the application', (v) => v.trim() !== '')
  check('preset', `one of ${presets.join(', ')}`, (v) => (presets as readonly string[]).includes(v))
  check('support', 'a mail address', (v) => /^[^\s@]+@[^\s@]+$/.test(v))
  check('password_url', 'an https address', isAddress)
  check('sign_in_url', 'an https address', isAddress)
  for (const name of Object.keys(given)) {
    if (!['api', 'app', 'preset', 'support', 'password_url', 'sign_in_url'].includes(name)) wrong.push(`${name} is not a setting`)
  }
  if (wrong.length > 0) throw new Error(`config.json: ${wrong.join('; ')}`)
  return given as unknown as Config
}

/** An https address, or one of this machine, to try things out. */
function isAddress(text: string): boolean {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return false
  }
  if (url.username || url.password) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname))
}
