import { html, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import example from '../../../../pkg/host/example_test.go?raw'
import { excerptOf, parted } from '../excerpt.ts'
import { Panel } from '../lab.ts'
import { words } from '../words.ts'

const w = words.host
const excerpt = excerptOf(example)

/** What a host writes. It is taken from the tested example when the page is built, so that it cannot drift. */
@customElement('lab-host')
export class Host extends Panel {
  @state() private said = ''

  protected override render(): TemplateResult {
    return html`
      <h3 id="host-title">${w.title}</h3><p class="quiet">${w.about}</p>
      <pre class="code" tabindex="0" aria-label=${w.title} translate="no"><code>${excerpt.split('\n').map((line) => {
        const { code, comment } = parted(line)
        return html`${code}<span class="comment">${comment}</span>\n`
      })}</code></pre>
      <div class="row"><button type="button" class="small" @click=${this.#copy}>${w.copy}</button><span role="status" class="quiet">${this.said}</span></div>`
  }

  readonly #copy = async (): Promise<void> => {
    this.said = await navigator.clipboard.writeText(excerpt).then(() => w.copied, () => words.traffic.notCopied)
  }
}
