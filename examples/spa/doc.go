// Package spa is an example of a single-page app on Portico: plain HTML, CSS
// and JavaScript modules, as a browser takes them. There is nothing to build.
//
//	index.html    what there is to see, as templates
//	style.css     how it looks, light and dark, on a phone and by keyboard
//	app.js        what happens
//	portico.js    a client of the API; the part to take along
//	problems.js   a sentence for every problem code
//	config.json   where Portico is; [Handler] writes it
//
// It uses the public API alone, from another origin, and keeps neither tokens
// nor cookies. It refuses to be a component library.
package spa
