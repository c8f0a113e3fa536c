// What a person does between the phone and the application's screen: look, and type.

/** The first element that matches, in the shadow trees as well. */
export function seen(selector: string, root: ParentNode): Element | undefined {
  const found = root.querySelector(selector)
  if (found) return found
  for (const element of root.querySelectorAll('*')) {
    const inside = element.shadowRoot && seen(selector, element.shadowRoot)
    if (inside) return inside
  }
  return undefined
}

/** Types a code into the application's field for codes. False if it shows none. */
export function typeInto(root: ParentNode, code: string): boolean {
  const input = seen('input[name=code]', root) as HTMLInputElement | undefined
  if (!input) return false
  input.value = code
  input.dispatchEvent(new InputEvent('input', { bubbles: true, composed: true }))
  input.focus()
  return true
}

/** Reads the QR code that the application shows, from its picture, as a camera would. Undefined if there is none. */
export async function scan(root: ParentNode): Promise<string | undefined> {
  const image = seen('img.qr', root) as HTMLImageElement | undefined
  if (!image) return undefined
  await image.decode()
  const canvas = document.createElement('canvas')
  const margin = 16
  canvas.width = image.naturalWidth + 2 * margin
  canvas.height = image.naturalHeight + 2 * margin
  const context = canvas.getContext('2d')!
  context.fillStyle = '#fff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.drawImage(image, margin, margin)
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height)
  const { default: jsQR } = await import('jsqr')
  return jsQR(data, width, height)?.data
}

/** The backup code that the application shows, if it does. */
export function codeShown(root: ParentNode): string | undefined {
  return seen('.code-shown', root)?.textContent?.trim() || undefined
}
