// The contract stands in here: the page could not fetch it, nor anything else.
// What Redoc makes of it replaces what the page has for those without scripts.
const typography = {
  fontFamily: 'system-ui, sans-serif',
  headings: { fontFamily: 'system-ui, sans-serif' },
  code: { fontFamily: 'ui-monospace, monospace' },
}

// Redoc has one theme, for light rooms. This one goes with page.css.
const dark = {
  colors: {
    primary: { main: '#8ab4f8' },
    success: { main: '#7bc47f' },
    warning: { main: '#e8b04b' },
    error: { main: '#f28b82' },
    text: { primary: '#e3e5e8', secondary: '#b4b8bf' },
    border: { dark: '#4a4f57', light: '#33373d' },
    responses: {
      success: { color: '#7bc47f', backgroundColor: 'rgba(123, 196, 127, 0.12)', tabTextColor: '#7bc47f' },
      redirect: { color: '#e8b04b', backgroundColor: 'rgba(232, 176, 75, 0.12)', tabTextColor: '#e8b04b' },
      error: { color: '#f28b82', backgroundColor: 'rgba(242, 139, 130, 0.12)', tabTextColor: '#f28b82' },
      info: { color: '#8ab4f8', backgroundColor: 'rgba(138, 180, 248, 0.12)', tabTextColor: '#8ab4f8' },
    },
  },
  schema: { nestedBackground: '#22262b', linesColor: '#5a6068', typeNameColor: '#b4b8bf', typeTitleColor: '#8ab4f8', requireLabelColor: '#f28b82' },
  typography: { ...typography, code: { ...typography.code, color: '#f2a7a0', backgroundColor: 'rgba(255, 255, 255, 0.08)' }, links: { color: '#8ab4f8', visited: '#8ab4f8', hover: '#b5d0fb' } },
  sidebar: { backgroundColor: '#15181b', textColor: '#e3e5e8' },
  rightPanel: {
    backgroundColor: '#101214',
    textColor: '#e3e5e8',
    servers: { overlay: { backgroundColor: '#22262b', textColor: '#e3e5e8' }, url: { backgroundColor: '#15181b' } },
  },
}

Redoc.init(
  CONTRACT,
  {
    downloadUrls: [{ title: 'openapi.yaml', url: '/openapi.yaml' }],
    nativeScrollbars: true,
    requiredPropsFirst: true,
    theme: matchMedia('(prefers-color-scheme: dark)').matches ? dark : { typography },
  },
  document.getElementById('docs'),
)
