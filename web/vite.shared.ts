// What the pages that vite builds have in common.
import { fileURLToPath } from 'node:url'

import type { UserConfig } from 'vite'

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** A page with everything that it loads beside it, wherever that is: nothing in it that a strict policy would refuse. */
export function pages(outDir: string): UserConfig {
  return {
    base: './',
    resolve: {
      // The workspaces as they stand, built or not. (The condition `development` would do it, and take lit's own with it.)
      alias: [
        { find: /^@nightlatch\/client$/, replacement: source('client/src/index.ts') },
        { find: /^@nightlatch\/components$/, replacement: source('components/src/index.ts') },
        { find: /^@nightlatch\/components\/(.+)$/, replacement: source('components/src/$1.ts') },
      ],
    },
    build: {
      outDir,
      emptyOutDir: true,
      sourcemap: false,
      target: 'es2022',
      modulePreload: { polyfill: false },
      rolldownOptions: {
        output: {
          // Elements and lab are told apart, so that what an application would load can be weighed.
          codeSplitting: { groups: [{ name: 'elements', test: /\/(components|client)\/src\/(?!locales\/(?!en))|node_modules\/(@lit|lit|openapi-fetch)/ }] },
        },
      },
    },
  }
}
