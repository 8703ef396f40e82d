// Package tools is a module of its own for what looks after deploy/ and
// releases: libraries that the product does not run on stay out of its go.mod.
//
//	manifests   hold the Kubernetes manifests against the API's types, and
//	            docker-compose.yml against the Compose specification
//	release     archives, their software bill of materials and checksums
package tools
