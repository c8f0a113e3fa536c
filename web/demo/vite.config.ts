import { defineConfig } from 'vite'

import { pages } from '../vite.shared.ts'

// Into web/dist, which embed.go embeds. public/ has the .keep that stays there.
export default defineConfig(pages('../dist'))
