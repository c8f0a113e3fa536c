/** What others wrote may be this long before it is cut. */
const longest = 400

/**
 * What somebody else wrote, made safe to look at: whatever cannot be seen (control characters, marks that turn the
 * direction of writing round, joiners) is shown as �, so that two texts that look alike are alike. It belongs in a text
 * node, and in a bdi.
 */
export function plain(text: string): string {
  const shown = text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/gu, '\ufffd')
  return shown.length > longest ? shown.slice(0, longest) + '…' : shown
}

/** An address that a link may lead to: https, or this page's own origin. Anything else, a script above all, is none. */
export function safeLink(address: string, base = location.href): string | undefined {
  let url: URL
  try {
    url = new URL(address, base)
  } catch {
    return undefined
  }
  return url.protocol === 'https:' || (url.protocol === 'http:' && url.origin === new URL(base).origin) ? url.href : undefined
}
