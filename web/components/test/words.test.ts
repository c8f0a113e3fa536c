/// <reference types="vite/client" />
import { describe, expect, test } from 'vitest'

import recovery from '../../../docs/recovery.md?raw'
import openapi from '../../../pkg/api/openapi.yaml?raw'
import { english, languages, load, Phrases, type Key, type Preset, type Words } from '../src/words.ts'

type Texts = Record<string, string>

const files = import.meta.glob<Texts>('../src/locales/*.json', { eager: true, import: 'default' })
const mails = import.meta.glob<Texts>('../../../pkg/mail/locales/*.json', { eager: true, import: 'default' })
const sources = import.meta.glob<string>(['../src/**/*.ts', '../../site/src/**/*.ts', '../../demo/src/**/*.ts'], { eager: true, query: '?raw', import: 'default' })

const of = (all: Record<string, Texts>, lang: string) => Object.entries(all).find(([path]) => path.endsWith(`/${lang}.json`))![1]
const en = of(files, 'en')
const others = languages.filter((lang) => lang !== 'en')

/** The key as the program says it. */
const base = (key: string) => key.replace(/[@#].*$/, '')
/** The form that a number asks for, or nothing. */
const category = (key: string) => /#(\w+)$/.exec(key)?.[1]
const bases = (texts: Texts) => [...new Set(Object.keys(texts).map(base))]
const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort()

/** The forms that numbers up to a thousand need. */
const categories = (lang: string) => {
  const rules = new Intl.PluralRules(lang)
  return [...new Set(Array.from({ length: 1001 }, (_, n) => rules.select(n)))].sort()
}

describe('every language', () => {
  test('there is a file for each', () => {
    expect(Object.keys(files).map((path) => path.replace(/.*\/(\w+)\.json$/, '$1')).sort()).toEqual([...languages].sort())
  })

  test.each(languages)('%s has the keys of English, in the same order', (lang) => {
    expect(bases(of(files, lang))).toEqual(bases(en))
  })

  test.each(languages)('%s has a form for every number, and no other', (lang) => {
    const texts = of(files, lang)
    const wrong = Object.keys(en)
      .filter((key) => category(key) === 'other')
      .map((key) => key.replace(/#.*$/, ''))
      .filter((stem) => {
        const forms = Object.keys(texts).filter((key) => key.replace(/#.*$/, '') === stem).map(category).sort()
        return JSON.stringify(forms) !== JSON.stringify(categories(lang))
      })
    expect(wrong).toEqual([])
  })

  test.each(languages)('%s says by preset what English says by preset', (lang) => {
    const texts = of(files, lang)
    expect(Object.keys(en).filter((key) => key.includes('@') && !(key in texts))).toEqual([])
  })

  // A language may need further forms, where the noun has another gender; but then they are other forms.
  test.each(languages)('%s has no further form that says the same', (lang) => {
    const texts = of(files, lang)
    const idle = Object.keys(texts).filter((key) => key.includes('@') && !(key in en) && texts[key] === texts[key.replace(/@\w+/, '')])
    expect(idle).toEqual([])
  })

  test.each(languages)('%s knows no preset but ours, and has words without one', (lang) => {
    const texts = of(files, lang)
    const presets = new Set(Object.keys(texts).flatMap((key) => /@(\w+)/.exec(key)?.[1] ?? []))
    expect([...presets].sort()).toEqual(['miaxdx', 'midphase', 'mirox'])
    expect(Object.keys(texts).filter((key) => !(key.replace(/@\w+/, '') in texts))).toEqual([])
  })

  test.each(languages)('%s fills the same placeholders', (lang) => {
    const wrong = Object.entries(of(files, lang)).filter(([key, text]) => {
      const like = en[key] ?? en[key.replace(/@\w+/, '')]!
      return JSON.stringify(placeholders(text)) !== JSON.stringify(placeholders(like))
    })
    expect(wrong).toEqual([])
  })

  test.each(languages)('%s is text: not empty, no markup, no stray spaces or braces', (lang) => {
    const bad = Object.entries(of(files, lang)).filter(([, text]) =>
      text.trim() !== text || text === '' || /[<>]|&\w+;|\*\*|`/.test(text) || /[\s\u00a0]{2}/.test(text) || /[{}]/.test(text.replace(/\{\w+\}/g, '')))
    expect(bad).toEqual([])
  })
})

describe('what support teams read', () => {
  const section = (headline: string) => recovery.split(/^## /m).find((s) => s.startsWith(headline))!
  const bold = (text: string) => [...text.matchAll(/\*\*(.+?)\*\*/gs)].map((m) => m[1]!)

  test('names each decision as its button does, in the order of the console', () => {
    const rows = section('What reviewers do').split('\n').filter((line) => line.startsWith('| **'))
    expect(rows.map((row) => bold(row)[0])).toEqual(['approve', 'deny', 'retry_identity', 'stop'].map((kind) => en[`review.decide.${kind}`]))
  })

  test.each([
    ['What the user does', en['L1.no_way_in']!],
    ['What to answer', en['R2.send_again']!],
    ['What to answer', of(mails, 'en')['button.cancel']!],
    ['What to answer', en['R8.cancel']!],
  ])('%s: names %s as the page or the mail does', (headline, button) => expect(bold(section(headline))).toContain(button))
})

describe('every translation', () => {
  // What is the same word there as in English.
  const same: Record<string, RegExp> = {
    de: /^(label\.app|common\.countdown|.*\.done@midphase|history\.actor\.operator|review\.identity\.field\.name|review\.approvals\.by)$/,
    es: /^(label\.error|review\.approvals\.by)$/,
    fr: /^(.*\.done@midphase|history\.actor\.host|review\.approvals\.by)$/,
    ja: /^.*\.done@midphase$/,
  }

  test.each(others)('%s leaves nothing in English', (lang) => {
    const texts = of(files, lang)
    expect(Object.keys(texts).filter((key) => texts[key] === en[key] && !same[lang]!.test(key))).toEqual([])
  })

  const familiar: Record<string, RegExp> = {
    de: /(?<!\p{L})(du|dich|dir|dein\p{L}*)(?!\p{L})/iu,
    es: /(?<!\p{L})(tú|tu|tus|ti|contigo)(?!\p{L})/iu,
    fr: /(?<!\p{L})(tu|toi|ton|ta|tes)(?!\p{L})/iu,
  }

  test.each(Object.keys(familiar))('%s is formal', (lang) => {
    expect(Object.entries(of(files, lang)).filter(([, text]) => familiar[lang]!.test(text))).toEqual([])
  })

  test('French has no-break spaces and its own apostrophe', () => {
    expect(Object.entries(of(files, 'fr')).filter(([, text]) => /[^\u00a0][:;?!»]|«[^\u00a0]|'/.test(text))).toEqual([])
  })

  test('Japanese has its own marks', () => {
    expect(Object.entries(of(files, 'ja')).filter(([, text]) => /[.,?!:;](\s|$)/.test(text))).toEqual([])
  })
})

test.each(languages)('%s says what the mails say', (lang) => {
  const texts = of(files, lang)
  const mail = of(mails, lang)
  const reasons = Object.keys(mail).filter((key) => key.startsWith('reason.'))
  expect(reasons.length).toBe(5)
  for (const key of reasons) expect(texts[`reset.${key}`]).toBe(mail[key])
  expect(texts['common.sign_in']).toBe(mail['button.sign_in'])
  expect(texts['common.try_again']).toBe(mail['button.try_again'])
  expect(mail['suspended.way.identity_review']).toContain(texts['L1.no_way_in'])
  for (const [row, subject] of [['E4', 'enabled'], ['D2', 'disabled'], ['X2', 'suspended'], ['R6', 'reset_ready'], ['I2', 'identity_failed.none']]) {
    expect(texts[`${row}.headline`]).toBe(mail[`${subject}.subject`])
  }
})

describe('there are words', () => {
  test('for all that the sources say', () => {
    const stored = ['card.grant'] // in the session, not said
    const rows = /^(?:[A-Z]\d{1,2}[a-z]?|card|label|common|history|reset|review|print)\./
    const keys = bases(en)
    const missing: string[] = []
    let said = 0
    for (const [path, source] of Object.entries(sources)) {
      for (const [, text, open] of source.matchAll(/['"`]([A-Za-z]\w*\.[\w.]*)(\$\{|['"`])/g)) {
        if (!rows.test(text!) || stored.includes(text!)) continue
        said++
        // What is not a whole key begins one: the program puts the rest to it.
        const begun = open === '${' || text!.endsWith('.') ? text! : `${text}.`
        const found = keys.includes(text!) || keys.some((key) => key.startsWith(begun))
        if (!found) missing.push(`${path}: ${text}`)
      }
    }
    expect(missing).toEqual([])
    expect(said).toBeGreaterThan(100)
  })

  test('and no others: every page would load them', () => {
    const mailed = ['common.sign_in'] // a button of the mails, and held against theirs
    const all = Object.values(sources).join('\n')
    // Keys that are put together: a hole in the middle or at the end is a word, and one at the start a row.
    const rows = [...all.matchAll(/'([A-Z]\d\w?(?:\.\w+)*)'/g)].map(([, row]) => row).join('|')
    const whole = (text: string) => new RegExp(`^${text.replace(/^#/, `(?:${rows})`).replaceAll('.', '\\.').replaceAll('#', '\\w+')}$`)
    const templates = [...all.matchAll(/`(?=([^`\n]+)`)/g)].map(([, text]) => text!.replace(/\$\{[^}]*\}/g, '#')).filter((text) => /^(\w+\.[\w.#]+|#\.\w[\w.#]*)$/.test(text)).map(whole)
    const idle = bases(en).filter((key) => !all.includes(`'${key}'`) && !mailed.includes(key) && !templates.some((t) => t.test(key)))
    expect(idle).toEqual([])
  })

  /** The values of an enumeration in the API's description. */
  const values = (start: RegExp) => {
    const list = start.exec(openapi)?.[1] ?? ''
    return list.split(/[\s,-]+/).filter(Boolean)
  }

  test.each([
    ['history.', /\n {4}EventType:[^]*?enum:\n((?: {8}- \w+\n)+)/, 34],
    ['history.outcome.', /outcome: \{type: string, enum: \[([\w, ]+)\]/, 2],
    ['history.method.', /method: \{type: string, enum: \[(none[\w, ]+)\]/, 4],
    ['history.actor.', /actor: \{type: string, enum: \[([\w, ]+)\]/, 5],
    ['reset.state.', /\n {4}ResetState:[^]*?enum: \[([\w,\s]+)\]/, 8],
    ['reset.reason.', /\n {4}ReasonCode:[^]*?enum: \[([\w,\s]+)\]/, 5],
    ['review.identity.field.', /field: \{type: string, enum: \[(name[\w, ]+)\]/, 4],
    ['review.identity.', /enum: \[(match[\w, ]+)\]/, 3],
  ])('for all that the service says: %s', (prefix, start, count) => {
    const said = values(start)
    expect(said).toHaveLength(count)
    expect(said.filter((value) => !new Phrases(english, 'standard', {}).has(prefix + value))).toEqual([])
  })
})

describe('say', () => {
  const say = (key: string, values = {}, preset: Preset = 'standard', own: Texts = {}, words: Words = english) =>
    new Phrases(words, preset, own).say(key as Key, values)

  test.each<[Preset, string]>([
    ['standard', 'Save your backup code'], ['mirox', 'Save your backup code'],
    ['miaxdx', 'Save your backup key'], ['midphase', 'Save your Recovery Token'],
  ])('in the words of %s', (preset, want) => {
    expect(say('E2.headline', {}, preset)).toBe(want)
  })

  test('by the number', () => {
    expect(say('K4.body.2', { n: 1 })).toBe('1 try left.')
    expect(say('K4.body.2', { n: 4 })).toBe('4 tries left.')
    expect(say('K4.body.2', { n: 1234 })).toBe('1,234 tries left.')
  })

  test('of a preset that is not known: in ours', () => {
    expect(say('E2.headline', {}, 'newest' as Preset)).toBe('Save your backup code')
  })

  test('a number that has no form of its own takes the general one', async () => {
    expect(say('K4.body.2', { n: 1_000_000 }, 'standard', {}, await load('fr'))).toMatch(/^Encore 1.000.000 essais\.$/)
    expect(say('K4.body.2', { n: 1 }, 'standard', {}, await load('ja'))).toBe('残り1回です。')
  })

  test('by preset and number at once', () => {
    const words = { lang: 'en', phrases: { 'a#one': '1', 'a#other': '2', 'a@mirox#one': '3', 'a@mirox#other': '4' } }
    expect([1, 2].map((n) => say('a', { n }, 'mirox', {}, words))).toEqual(['3', '4'])
    expect([1, 2].map((n) => say('a', { n }, 'midphase', {}, words))).toEqual(['1', '2'])
  })

  test("the application's words win, the more fitting ones first", () => {
    expect(say('E2.headline', {}, 'miaxdx', { 'E2.headline': 'Keep it' })).toBe('Keep it')
    expect(say('E2.headline', {}, 'miaxdx', { 'E2.headline': 'Keep it', 'E2.headline@miaxdx': 'Keep the key' })).toBe('Keep the key')
    expect(say('E2.headline', {}, 'mirox', { 'E2.headline@miaxdx': 'Keep the key' })).toBe('Save your backup code')
    expect(say('K4.body.2', { n: 1 }, 'mirox', { 'K4.body.2': '{n} left' })).toBe('1 left')
    expect(say('K4.body.2', { n: 1 }, 'mirox', { 'K4.body.2#one': 'the last' })).toBe('the last')
  })

  test("in the application's words a placeholder that is not ours stays", () => {
    expect(say('K2.body', {}, 'standard', { 'K2.body': 'Fine, {who}.' })).toBe('Fine, {who}.')
  })

  test("what is not text is not the application's word", () => {
    expect(say('K2.done', {}, 'standard', { 'K2.done': undefined } as unknown as Texts)).toBe('Done')
  })

  test.each(['K2.nothing', 'toString', '__proto__', 'K4.body.2'])('a key that does not exist is a mistake: %s', (key) => {
    expect(() => say(key)).toThrow(`there is no ${key} in en`)
  })

  test('a placeholder that is not filled is a mistake', () => {
    expect(() => say('R7.quote')).toThrow('R7.quote needs {reference}')
    expect(() => say('R7.quote', Object.create({ reference: 'R-1' }))).toThrow('R7.quote needs {reference}')
  })

  test('a value is said once, and not read as words of ours', () => {
    expect(say('R7.quote', { reference: '{app} $& <b>' })).toBe('Quote {app} $& <b>.')
  })

  test('a value cannot turn the sentence round, nor break it', () => {
    expect(say('R7.quote', { reference: 'a\u202eb\u2066c\nd\u2028e' })).toBe('Quote a\ufffdb\ufffdc\ufffdd\ufffde.')
    expect(say('R7.quote', { reference: 'אב1' })).toBe('Quote \u2068אב1\u2069.')
    expect(say('R7.quote', { reference: 'R-1' }, 'standard', {}, { ...english, lang: 'he' })).toBe('Quote \u2068R-1\u2069.')
  })
})

test('has', () => {
  const phrases = new Phrases(english, 'standard', { 'history.moved': 'Moved' })
  expect(['history.login', 'K4.body.2', 'history.moved'].map((key) => phrases.has(key))).toEqual([true, true, true])
  expect(['history.nothing', 'E2.headline@miaxdx#one', 'constructor', ''].map((key) => phrases.has(key))).toEqual([false, false, false, false])
})

describe('load', () => {
  test.each([
    ['en', 'en', 'Cancel'], ['de', 'de', 'Abbrechen'], ['de-AT', 'de-AT', 'Abbrechen'], ['de_at', 'de-AT', 'Abbrechen'],
    ['FR', 'fr', 'Annuler'], ['es-419', 'es-419', 'Cancelar'], ['ja-JP', 'ja-JP', 'キャンセル'], ['en-US', 'en-US', 'Cancel'],
    ['nl', 'en', 'Cancel'], ['', 'en', 'Cancel'], ['*', 'en', 'Cancel'], ['../de', 'en', 'Cancel'], ['constructor', 'en', 'Cancel'],
  ])('%s', async (lang, tag, want) => {
    const words = await load(lang)
    expect(words.lang).toBe(tag)
    expect(new Phrases(words, 'standard', {}).say('common.cancel')).toBe(want)
  })

  test.each([['en', 'ltr'], ['ja', 'ltr'], ['ar', 'rtl'], ['he-IL', 'rtl'], ['ur', 'rtl'], ['az-Arab', 'rtl'], ['az', 'ltr']])('%s is written %s', (lang, dir) => {
    expect(new Phrases({ lang, phrases: {} }, 'standard', {}).dir).toBe(dir)
  })
})

describe('times', () => {
  const at = new Date(2026, 2, 4, 14, 5)
  const later = (seconds: number) => new Date(at.getTime() + seconds * 1000)
  const spaced = (text: string) => text.replace(/[\u00a0\u202f]/g, ' ') // which space it is depends on the browser's age
  const phrases = async (lang: string) => new Phrases(await load(lang), 'standard', {})

  test.each([
    ['en', '14:05', '4 March 2026', '4 March 2026 at 14:05'],
    ['en-US', '2:05 PM', 'March 4, 2026', 'March 4, 2026 at 2:05 PM'],
    ['de', '14:05', '4. März 2026', '4. März 2026 um 14:05'],
    ['es', '14:05', '4 de marzo de 2026', '4 de marzo de 2026 a las 14:05'],
    ['fr', '14:05', '4 mars 2026', '4 mars 2026 à 14:05'],
    ['ja', '14:05', '2026年3月4日', '2026年3月4日 14:05'],
  ])('in %s', async (lang, time, day, moment) => {
    const p = await phrases(lang)
    expect([p.time(at, later(60)), p.day(at), p.moment(at)].map(spaced)).toEqual([time, day, moment])
    expect(spaced(p.time(at, later(86400)))).toBe(moment)
    expect(p.day(at.toISOString())).toBe(day)
    expect(p.day(at.getTime())).toBe(day)
  })

  test('today is the day of now, not the last 24 hours', () => {
    const p = new Phrases(english, 'standard', {})
    expect(p.time(new Date(2026, 2, 4, 0, 1), new Date(2026, 2, 3, 23, 59))).toBe('4 March 2026 at 00:01')
    expect(p.time(new Date(2026, 2, 4, 0, 1), new Date(2026, 2, 4, 23, 59))).toBe('00:01')
    expect(p.time(new Date())).toMatch(/^\d\d:\d\d$/)
  })

  test.each([
    [-5, 'now'], [0, 'now'], [0.4, 'in 1 sec'], [59, 'in 59 sec'], [60, 'in 1 min'], [181, 'in 4 min'], [240, 'in 4 min'], [89 * 60, 'in 89 min'],
    [90 * 60, 'in 2 hr'], [35 * 3600, 'in 35 hr'], [36 * 3600, 'in 2 days'], [40 * 86400, 'in 40 days'],
  ])('until: %d seconds', (seconds, want) => {
    expect(new Phrases(english, 'standard', {}).until(later(seconds), at)).toBe(want)
  })

  test.each([
    [-5, 'now'], [0.4, 'now'], [59.9, '59 sec ago'], [60, '1 min ago'], [299, '4 min ago'], [90 * 60, '1 hr ago'], [47 * 3600, '1 day ago'],
  ])('ago: %d seconds', (seconds, want) => {
    expect(new Phrases(english, 'standard', {}).ago(at, later(seconds))).toBe(want)
  })

  test.each([['de', 'in 4 Min.'], ['es', 'dentro de 4 min'], ['fr', 'dans 4 min'], ['ja', '4 分後']])('until in %s', async (lang, want) => {
    expect(spaced((await phrases(lang)).until(later(240), at))).toBe(want)
  })

  test.each([[-1, '0:00'], [0, '0:00'], [0.2, '0:01'], [59.5, '1:00'], [119, '1:59'], [3599, '59:59'], [3600, '1:00:00'], [86399, '23:59:59']])('clock: %d', (seconds, want) => {
    expect(new Phrases(english, 'standard', {}).clock(seconds)).toBe(want)
  })
})
