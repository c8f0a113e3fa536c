/** A piece of a mail's text: words, or an address that can be opened. */
export type Piece = { text: string } | { text: string; link: string; here: boolean }

/** Cuts a mail's text into words and links. A link of this page itself is opened here; of others only https has one. */
export function piecesOf(text: string, origin: string): Piece[] {
  const pieces: Piece[] = []
  let from = 0
  for (const found of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    const address = found[0].replace(/[.,;:!?)\]]+$/, '')
    if (found.index > from) pieces.push({ text: text.slice(from, found.index) })
    from = found.index + address.length
    const here = address.startsWith(origin + '/#/') // any further path might begin with //, which is another host
    pieces.push(here || address.startsWith('https://') ? { text: address, link: address, here } : { text: address })
  }
  if (from < text.length) pieces.push({ text: text.slice(from) })
  return pieces
}

/** What a button for a link of ours says; the address itself where it is none of them. */
export function nameOf(link: string): string {
  const purpose = /#\/(reset\/[a-z_]+|reviews)/.exec(link)?.[1]
  switch (purpose) {
    case 'reset/identity': return 'Confirm your identity'
    case 'reset/cancel': return 'Cancel the reset'
    case 'reset/sign_in': return 'Sign in'
    case 'reviews': return 'Open the case'
    default: return link
  }
}
