package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// bill writes what the binary is made of, as the linker has written it into the
// binary: neither more, as a go.mod would say, nor less.
func (r release) bill(binary, name string) (err error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	sum, err := sumOf(binary)
	if err != nil {
		return err
	}
	product := cdx.Component{
		BOMRef: purl(info.Main.Path, r.version), Type: cdx.ComponentTypeApplication, Name: info.Main.Path, Version: r.version,
		PackageURL: purl(info.Main.Path, r.version),
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}},
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}
	standard := component("std", info.GoVersion, "")
	parts, needs := []cdx.Component{standard}, []string{standard.BOMRef}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		part := component(module.Path, module.Version, module.Sum)
		parts, needs = append(parts, part), append(needs, part.BOMRef)
	}
	bom := cdx.NewBOM()
	// A name of the content, not of the moment: the same binary, the same bill.
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, append([]byte(product.BOMRef), sum...)).URN()
	bom.Metadata = &cdx.Metadata{Timestamp: r.at.Format(time.RFC3339), Component: &product, Properties: properties(info)}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: product.BOMRef, Dependencies: &needs}}

	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// component is a module. Its hash is the go.sum's, which is SHA-256 over the
// list of the module's files; CycloneDX has no name for that but the purl's.
func component(path, version, sum string) cdx.Component {
	c := cdx.Component{
		BOMRef: purl(path, version), Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl(path, version),
		Scope: cdx.ScopeRequired,
	}
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) > 0 {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
	}
	return c
}

// purl is the module's name among all packages: github.com/package-url.
func purl(path, version string) string { return fmt.Sprintf("pkg:golang/%s@%s", path, version) }

// properties are how it was built.
func properties(info *buildinfo.BuildInfo) *[]cdx.Property {
	all := []cdx.Property{{Name: "go:version", Value: info.GoVersion}}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "CGO_ENABLED", "GOARCH", "GOOS", "GOAMD64", "GOARM64", "-trimpath", "-ldflags":
			all = append(all, cdx.Property{Name: "go:build:" + setting.Key, Value: setting.Value})
		}
	}
	return &all
}
