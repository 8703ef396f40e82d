package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// list is a checklist, as its file writes it.
type list struct {
	name  string // the file's, without its ending
	Title string `yaml:"title"`
	Parts []part `yaml:"parts"`
}

type part struct {
	Name string `yaml:"name"`
	Rows []row  `yaml:"rows"`
}

type row struct {
	ID    string `yaml:"id"`
	Level string `yaml:"level"`
	Asks  string `yaml:"asks"`
	// NotApplicable is the reason why nothing can be asked of Portico here.
	NotApplicable string `yaml:"not_applicable"`
	// Later is what still lacks where that is known.
	Later string `yaml:"later"`
}

// readLists reads every list in the folder. The error names what is wrong: a
// file that cannot be read or has unknown fields, a row that says too little or
// contradicts itself, an id that is none or is there twice.
func readLists(folder string) ([]list, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no list in %s", folder)
	}
	var lists []list
	seen := make(map[string]bool)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		l, err := parseList(raw)
		if err == nil {
			err = l.check(seen)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		l.name = strings.TrimSuffix(filepath.Base(file), ".yaml")
		lists = append(lists, l)
	}
	return lists, nil
}

func parseList(raw []byte) (list, error) {
	var l list
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true) // a misspelt "later" would be a row that fails, or worse
	if err := decoder.Decode(&l); err != nil {
		return list{}, err
	}
	return l, nil
}

// check checks each row, and notes its id in seen.
func (l list) check(seen map[string]bool) error {
	if l.Title == "" || len(l.Parts) == 0 {
		return errors.New("a list needs a title and parts")
	}
	for _, p := range l.Parts {
		if p.Name == "" || len(p.Rows) == 0 {
			return fmt.Errorf("part %q needs a name and rows", p.Name)
		}
		for _, r := range p.Rows {
			switch ids := idsIn(r.ID); {
			case len(ids) != 1 || ids[0] != r.ID:
				return fmt.Errorf("%q could not be found in a test's name", r.ID)
			case seen[r.ID]:
				return fmt.Errorf("%s is there twice", r.ID)
			case r.Level == "" || r.Asks == "":
				return fmt.Errorf("%s needs a level, and what it asks", r.ID)
			case r.NotApplicable != "" && r.Later != "":
				return fmt.Errorf("%s is not applicable, or for later: not both", r.ID)
			}
			seen[r.ID] = true
		}
	}
	return nil
}
