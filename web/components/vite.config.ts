import { defineConfig, type Plugin } from 'vite'

const entries = ['index', 'security-card', 'sign-in', 'recovery', 'review', 'react']

/** Takes the indents out of what is minified, which only templates and styles have, where they mean nothing. */
const unindented: Plugin = {
  name: 'unindented',
  generateBundle(_, files) {
    for (const file of Object.values(files)) if (file.type === 'chunk') file.code = file.code.replace(/\n +/g, '\n')
  },
}

// What an application's bundler takes: every module as it stands, with what it depends on left outside. `--mode standalone`
// makes one small file of all elements, for a page without a bundler.
export default defineConfig(({ mode }) =>
  mode === 'standalone'
    ? {
        resolve: { conditions: ['@nightlatch/source', 'module', 'browser'] },
        build: {
          outDir: 'dist/standalone',
          target: 'es2022',
          lib: { entry: { nightlatch: 'src/index.ts' }, formats: ['es'] },
          rolldownOptions: { output: { minify: true, entryFileNames: '[name].js', chunkFileNames: '[name].js' } },
        },
        plugins: [unindented],
      }
    : {
        build: {
          target: 'es2022',
          minify: false,
          lib: { entry: Object.fromEntries(entries.map((name) => [name, `src/${name}.ts`])), formats: ['es'] },
          rolldownOptions: {
            external: [/^lit(\/|$)/, /^@lit\//, '@nightlatch/client', 'react'],
            output: { preserveModules: true, preserveModulesRoot: 'src', entryFileNames: '[name].js' },
          },
        },
      },
)
