/** What a mailed link is for. */
export type Purpose = 'identity' | 'cancel' | 'sign_in'

/** Where the part of the address behind # leads. */
export type Route =
  | { page: 'link'; purpose: Purpose; token: string } // token is empty once it has been taken out of the address
  | { page: 'thanks' }
  | { page: 'reviews'; id: string } // id is empty for the queue
  | { page: 'session'; state: string; session: string }
  | { page: 'unknown' }

const patterns: [RegExp, (...parts: string[]) => Route][] = [
  [/^#\/reset\/(identity|cancel|sign_in)(?:\/([\w.~-]{1,1000}))?$/, (purpose, token = '') => ({ page: 'link', purpose: purpose as Purpose, token })],
  [/^#\/reset\/thanks$/, () => ({ page: 'thanks' })],
  [/^#\/reviews(?:\/([\w.~-]{1,200}))?\/?$/, (id = '') => ({ page: 'reviews', id })],
  [/^#\/session\/([\w-]{1,100})\/([\w.~-]{1,8000})$/, (state = '', session = '') => ({ page: 'session', state, session })],
]

/** Reads an address's hash. What we did not write ourselves is unknown, and goes no further. */
export function routeOf(hash: string): Route {
  for (const [pattern, make] of patterns) {
    const found = pattern.exec(hash)
    if (found) return make(...found.slice(1))
  }
  return { page: 'unknown' }
}

/** A route's address, without what is secret in it. */
export function addressOf(route: Route): string {
  switch (route.page) {
    case 'link': return `#/reset/${route.purpose}`
    case 'thanks': return '#/reset/thanks'
    case 'reviews': return route.id ? `#/reviews/${route.id}` : '#/reviews'
    case 'session': return '#/reviews'
    case 'unknown': return '#/'
  }
}
