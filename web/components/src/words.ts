import en from './locales/en.json'

/** What a set of words is called after: the help page that it speaks like. It decides words only, never what happens. */
export type Preset = 'standard' | 'mirox' | 'miaxdx' | 'midphase'

/**
 * The key of a phrase: `<row of screens.md>.<slot>`. In the locales a key may also carry `@<preset>`, where that preset
 * has words of its own, and `#<category>`, where the words depend on a number (`{n}`, by Intl.PluralRules).
 */
export type Key = Stem<keyof typeof en>

type Stem<K> = K extends `${infer Base}@${string}` ? Base : K extends `${infer Base}#${string}` ? Base : K

/** A loaded language. */
export interface Words {
  /** BCP 47, as it was asked for: `de-AT` has the words of `de`, and Austria's dates. */
  readonly lang: string
  readonly phrases: Readonly<Record<string, string>>
}

/** What fills the placeholders of a phrase. `n` is the number that decides its form. */
export type Values = Readonly<Record<string, string | number>>

/** A point in time, as JavaScript or as the API says it. */
export type Time = Date | string | number

/** The one language that is always there, so that there are always words. */
export const english: Words = { lang: 'en', phrases: en }

// Each is a file of its own in the bundle, and fetched only when it is spoken.
const others: Readonly<Record<string, () => Promise<{ default: Readonly<Record<string, string>> }>>> = {
  es: () => import('./locales/es.json'),
  de: () => import('./locales/de.json'),
  fr: () => import('./locales/fr.json'),
  ja: () => import('./locales/ja.json'),
}

/** The languages there are words in. */
export const languages: readonly string[] = ['en', ...Object.keys(others)]

/** Loads a language; English, if there are no words in it or they do not arrive: better a screen in English than none. */
export async function load(lang: string): Promise<Words> {
  try {
    const locale = new Intl.Locale(lang.replaceAll('_', '-'))
    const tag = locale.toString()
    if (locale.language === 'en') return { lang: tag, phrases: en }
    const file = others[locale.language]
    return file === undefined ? english : { lang: tag, phrases: (await file()).default }
  } catch {
    return english
  }
}

/** Says things in one language, in the words of one preset, and in the application's own words where it has some. */
export class Phrases {
  /** For `lang` attributes. */
  readonly lang: string
  /** For `dir` attributes. */
  readonly dir: 'ltr' | 'rtl'

  readonly #plural: Intl.PluralRules
  readonly #number: Intl.NumberFormat
  readonly #formats: string

  /**
   * @param words the language
   * @param preset whose words
   * @param own the application's words, by key; `@<preset>` and `#<category>` may stand behind it. They win over ours.
   */
  constructor(
    readonly words: Words,
    private readonly preset: Preset = 'standard',
    private readonly own: Readonly<Record<string, string>> = {},
  ) {
    this.lang = words.lang
    this.dir = rightToLeft(words.lang) ? 'rtl' : 'ltr'
    // English of no country writes 4 March 2026, 14:05: nobody takes that for another day or another half of it.
    this.#formats = words.lang === 'en' ? 'en-GB' : words.lang
    this.#plural = new Intl.PluralRules(this.#formats)
    this.#number = new Intl.NumberFormat(this.#formats)
  }

  /**
   * Says a phrase. A key that does not exist, or a placeholder that is not filled, is a mistake in the program and
   * throws an Error; in the application's own words an unknown placeholder stays as it is.
   */
  say(key: Key, values: Values = {}): string {
    const n = values['n']
    const found = this.#find(key, typeof n === 'number' ? n : undefined)
    if (found === undefined) throw new Error(`words: there is no ${key} in ${this.lang}`)
    return found.text.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (value !== undefined) return typeof value === 'number' ? this.#number.format(value) : this.#quote(value)
      if (found.own) return placeholder
      throw new Error(`words: ${key} needs ${placeholder}`)
    })
  }

  /** Whether there is such a phrase: for keys that end in what the service says, such as `history.<type>`. */
  has(key: string): key is Key {
    return (this.#find(key, undefined) ?? this.#find(key, 0)) !== undefined
  }

  /** The local time of day, such as 14:05; with the day when that is not today's. For `{time}`. */
  time(date: Time, now: Time = new Date()): string {
    const at = new Date(date)
    if (at.toDateString() !== new Date(now).toDateString()) return this.moment(at)
    return this.#date({ timeStyle: 'short' }, at)
  }

  /** The local day, such as 4 March 2026. For `{day}`. */
  day(date: Time): string {
    return this.#date({ dateStyle: 'long' }, new Date(date))
  }

  /** The local day and time, such as 4 March 2026 at 14:05. For `{moment}`. */
  moment(date: Time): string {
    return this.#date({ dateStyle: 'long', timeStyle: 'short' }, new Date(date))
  }

  /** How long until then, such as in 4 min: never less than it is. For `{until}`. */
  until(date: Time, now: Time): string {
    return this.#relative(Math.max(0, seconds(date) - seconds(now)), 1)
  }

  /** How long ago that was, such as 4 min ago: never more than it is. For `{ago}`. */
  ago(date: Time, now: Time): string {
    return this.#relative(Math.max(0, seconds(now) - seconds(date)), -1)
  }

  /** What is left on a countdown, such as 1:59. For `{clock}`. */
  clock(secondsLeft: number): string {
    const left = Math.max(0, Math.ceil(secondsLeft))
    const parts = [Math.floor(left / 60) % 60, left % 60]
    if (left >= 3600) parts.unshift(Math.floor(left / 3600))
    return parts.map((part, i) => (i === 0 ? String(part) : String(part).padStart(2, '0'))).join(':')
  }

  #find(key: string, n: number | undefined): { text: string; own: boolean } | undefined {
    const forms = n === undefined ? [''] : [`#${this.#plural.select(n)}`, '#other', '']
    for (const texts of [this.own, this.words.phrases]) {
      for (const stem of [`${key}@${this.preset}`, key]) {
        for (const form of forms) {
          const text = texts[stem + form]
          if (typeof text === 'string') return { text, own: texts === this.own }
        }
      }
    }
    return undefined
  }

  /**
   * Quotes a value inside our sentence: no character in it turns the direction of what follows, and what is written in
   * the other direction keeps that to itself.
   */
  #quote(value: string): string {
    const quoted = value.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu, '\ufffd')
    return this.dir === 'rtl' || turns.test(quoted) ? `\u2068${quoted}\u2069` : quoted
  }

  #date(options: Intl.DateTimeFormatOptions, date: Date): string {
    return new Intl.DateTimeFormat(this.#formats, options).format(date)
  }

  #relative(distance: number, sign: 1 | -1): string {
    const whole = sign === 1 ? Math.ceil : Math.floor
    const [unit, length] = steps.find(([, length, limit]) => whole(distance / length) < limit) ?? day
    const count = whole(distance / length)
    return new Intl.RelativeTimeFormat(this.#formats, count === 0 ? { numeric: 'auto' } : { style: 'short' }).format(sign * count, unit)
  }
}

type Step = readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number, limit: number]

const day: Step = ['day', 86400, Infinity]
const steps: readonly Step[] = [['second', 1, 60], ['minute', 60, 90], ['hour', 3600, 36], day]

// The scripts that are written from right to left, by ISO 15924.
const leftwards = ['Adlm', 'Arab', 'Hebr', 'Nkoo', 'Rohg', 'Syrc', 'Thaa']
const turns = /[\p{sc=Adlm}\p{sc=Arab}\p{sc=Hebr}\p{sc=Nkoo}\p{sc=Rohg}\p{sc=Syrc}\p{sc=Thaa}]/u

function rightToLeft(lang: string): boolean {
  return leftwards.includes(new Intl.Locale(lang).maximize().script ?? '')
}

function seconds(date: Time): number {
  return new Date(date).getTime() / 1000
}
