import { html, nothing, type TemplateResult } from 'lit'
import { customElement, state } from 'lit/decorators.js'

import { lab, Panel, users } from '../lab.ts'
import { program } from '../program.ts'
import { words } from '../words.ts'

const w = words.desk

/** Those who help: the operator, and the reviewers. */
@customElement('lab-desk')
export class Desk extends Panel {
  @state() private said = ''
  @state() private busy = false

  protected override render(): TemplateResult {
    return html`
      <h2 class="tiny" id="desk-title">${w.title}</h2><p class="quiet">${w.about}</p>
      <label class="pick"><span>${w.of}</span><select @change=${(e: Event) => lab.lookAt((e.target as HTMLSelectElement).value)}>
        ${users.map((u) => html`<option value=${u} ?selected=${u === lab.user}>${u}</option>`)}</select></label>
      <div class="row wrap">
        <button type="button" class="small" @click=${() => void this.#do('unlock', w.unlocked)}>${w.unlock}</button>
        <button type="button" class="small" @click=${() => void this.#do('remove_authenticator', w.removed)}>${w.remove}</button>
      </div>
      <div role="status">${this.said ? html`<p class="notice">${this.said}</p>` : nothing}</div>
      <p><a class="button" href="/#/reviews" target="_blank" rel="noopener">${w.console}</a></p>
      <p class="quiet">${w.consoleAbout}</p>`
  }

  async #do(operation: string, done: string): Promise<void> {
    if (this.busy) return
    this.busy = true
    try {
      await program.admin(operation, lab.user)
      this.said = done
      if (operation === 'unlock') lab.note('lab unlocked')
    } catch (error) {
      this.said = error instanceof Error ? error.message : String(error)
    } finally {
      this.busy = false
      void lab.look()
    }
  }
}
