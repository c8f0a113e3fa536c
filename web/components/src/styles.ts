import { css } from 'lit'

/**
 * How all elements look. An application changes it by the custom properties, and by the parts: headline, body, alert,
 * trouble, buttons, button (main, danger), field, input, code, qr, badge, notice, list, table.
 */
export const styles = css`
  :host {
    --_text: var(--nightlatch-text, light-dark(#1b1d22, #eceef3));
    --_muted: var(--nightlatch-muted, light-dark(#545a66, #a9b0bf));
    --_surface: var(--nightlatch-surface, light-dark(#ffffff, #191c22));
    --_sunken: var(--nightlatch-sunken, light-dark(#f3f4f7, #23272f));
    --_line: var(--nightlatch-line, light-dark(#858c99, #737b8b));
    --_accent: var(--nightlatch-accent, light-dark(#2447b8, #9db4ff));
    --_on-accent: var(--nightlatch-on-accent, light-dark(#ffffff, #10193a));
    --_danger: var(--nightlatch-danger, light-dark(#b3261e, #ffb4ab));
    --_good: var(--nightlatch-good, light-dark(#1b6b3a, #8fd9a8));
    --_radius: var(--nightlatch-radius, 10px);
    --_space: var(--nightlatch-space, 1rem);

    color-scheme: var(--nightlatch-color-scheme, light dark);
    display: block;
    box-sizing: border-box;
    max-inline-size: var(--nightlatch-width, 30rem);
    padding: calc(var(--_space) * 1.5);
    border: 1px solid color-mix(in srgb, var(--_line) 40%, transparent);
    border-radius: calc(var(--_radius) * 1.4);
    background: var(--_surface);
    color: var(--_text);
    font: var(--nightlatch-font, 1rem/1.5 system-ui, sans-serif);
    overflow-wrap: anywhere;
  }
  :host([hidden]) { display: none; }
  :host(:lang(ja)) { word-break: auto-phrase; }
  *, *::before, *::after { box-sizing: border-box; }

  h2 { margin: 0 0 calc(var(--_space) * 0.6); font-size: 1.3em; line-height: 1.25; text-wrap: balance; }
  h2:focus { outline: none; }
  h2 .progress { display: block; margin-block-end: 0.3em; color: var(--_muted); font-size: 0.68em; font-weight: 550; }
  h3 { margin: calc(var(--_space) * 1.4) 0 calc(var(--_space) * 0.4); font-size: 1.02em; }
  p { margin: 0 0 calc(var(--_space) * 0.75); }
  p:empty { margin: 0; }
  ol, ul { margin: 0 0 calc(var(--_space) * 0.75); padding-inline-start: 1.4em; }
  li + li { margin-block-start: 0.3em; }
  small, .muted { color: var(--_muted); font-size: 0.9em; }
  strong { font-weight: 650; }

  .buttons { display: flex; flex-wrap: wrap; align-items: center; gap: 0.6rem; margin-block-start: var(--_space); }
  button, .button {
    display: inline-flex; align-items: center; justify-content: center; gap: 0.5em;
    min-block-size: 2.75rem; padding: 0.45em 1em;
    border: 1px solid var(--_line); border-radius: var(--_radius);
    background: transparent; color: var(--_text);
    font: inherit; font-weight: 550; text-align: center; text-decoration: none; cursor: pointer;
  }
  button:hover { background: var(--_sunken); }
  button.main { border-color: var(--_accent); background: var(--_accent); color: var(--_on-accent); }
  button.main:hover { filter: brightness(1.08); }
  button.danger { border-color: var(--_danger); color: var(--_danger); }
  button.link, .button.link { min-block-size: 1.5rem; padding: 0.15em 0.1em; border: 0; color: var(--_accent); text-align: start; text-decoration: underline; text-underline-offset: 0.2em; font-weight: 500; }
  button[aria-disabled='true'] { opacity: 0.55; cursor: default; }
  a:any-link { color: var(--_accent); text-underline-offset: 0.2em; }
  :focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }

  .field { display: block; margin-block: calc(var(--_space) * 0.75); }
  .field > span { display: block; margin-block-end: 0.3em; font-weight: 550; }
  input, textarea, select {
    inline-size: 100%; min-block-size: 2.75rem; padding: 0.4em 0.7em;
    border: 1px solid var(--_line); border-radius: var(--_radius);
    background: var(--_surface); color: inherit; font: inherit;
  }
  input.code { max-inline-size: 16rem; font-size: 1.3em; letter-spacing: 0.12em; font-variant-numeric: tabular-nums; }
  input[aria-invalid='true'] { border-color: var(--_danger); border-width: 2px; }
  label.tick { display: flex; align-items: flex-start; gap: 0.6em; margin-block: var(--_space); font-weight: 550; }
  label.tick input { inline-size: 1.35em; min-block-size: 1.35em; margin: 0.1em 0 0; flex: none; accent-color: var(--_accent); }

  .code-shown {
    display: block; margin-block: var(--_space); padding: 0.7em 0.9em;
    border: 1px dashed var(--_line); border-radius: var(--_radius); background: var(--_sunken);
    font: 600 1.35em/1.4 ui-monospace, monospace; letter-spacing: 0.06em; text-align: center; user-select: all;
  }
  .key { font: 550 1em/1.7 ui-monospace, monospace; user-select: all; }
  img.qr { display: block; inline-size: min(14rem, 100%); block-size: auto; margin: var(--_space) auto; padding: 0.5rem; border-radius: var(--_radius); background: #fff; image-rendering: pixelated; }

  .trouble, .notice { margin-block: var(--_space); padding: 0.7em 0.9em; border: 1px solid var(--_line); border-inline-start: 4px solid var(--_danger); border-radius: var(--_radius); background: var(--_sunken); }
  .notice { border-inline-start-color: var(--_accent); }
  .trouble p:last-child, .notice p:last-child { margin: 0; }
  .trouble p { margin: 0.2em 0 0.5em; }
  .badge { display: inline-block; padding: 0.1em 0.65em; border: 1px solid currentcolor; border-radius: 999px; color: var(--_muted); font-size: 0.85em; font-weight: 600; }
  .badge.on { color: var(--_good); }
  .badge.warn { color: var(--_danger); }

  .at-work { display: inline-block; inline-size: 1em; block-size: 1em; border: 2px solid currentcolor; border-inline-end-color: transparent; border-radius: 50%; animation: turn 0.8s linear infinite; }
  @keyframes turn { to { transform: rotate(1turn); } }
  .hidden { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

  @media (prefers-reduced-motion: reduce) { .at-work { animation-duration: 4s; } }
  @media (forced-colors: active) { .badge, .trouble, .notice { border-color: CanvasText; } }
  @media (max-width: 26rem) {
    :host { padding: var(--_space); }
    .code-shown { padding-inline: 0.3em; }
    .buttons button, .buttons a.button { flex: 1 1 100%; }
    .buttons button.link, .buttons a.link { flex: 0 1 auto; }
  }
`
