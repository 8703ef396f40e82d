// The contract stands in here: the page could not fetch it, nor anything else.
// What Redoc makes of it replaces what the page has for those without scripts.
Redoc.init(
  CONTRACT,
  {
    downloadUrls: [{ title: 'openapi.yaml', url: '/openapi.yaml' }],
    nativeScrollbars: true,
    requiredPropsFirst: true,
    theme: {
      typography: {
        fontFamily: 'system-ui, sans-serif',
        headings: { fontFamily: 'system-ui, sans-serif' },
        code: { fontFamily: 'ui-monospace, monospace' },
      },
    },
  },
  document.getElementById('docs'),
)
