package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// localServer is what the contract in the repository calls its server.
const localServer = "servers:\n  - url: http://localhost:8080\n    description: What `make run` starts\n"

// at returns the contract with the server's own address in it, and nothing
// else changed.
func at(contract []byte, publicURL string) ([]byte, error) {
	if bytes.Count(contract, []byte("\n"+localServer)) != 1 {
		return nil, errors.New("the contract does not have the one server that was to be replaced")
	}
	// JSON's strings are YAML's too.
	address, err := json.Marshal(publicURL)
	if err != nil {
		return nil, err
	}
	return bytes.Replace(contract, []byte(localServer), fmt.Appendf(nil, "servers:\n  - url: %s\n", address), 1), nil
}

// asJSON returns a YAML document as JSON, with the fields in their order: the
// page shows them so.
func asJSON(document []byte) ([]byte, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(document, &root); err != nil {
		return nil, err
	}
	if len(root.Content) != 1 {
		return nil, errors.New("the contract is empty")
	}
	return appendJSON(nil, root.Content[0])
}

func appendJSON(b []byte, node *yaml.Node) ([]byte, error) {
	switch node.Kind {
	case yaml.MappingNode:
		return appendAll(b, '{', '}', node.Content, 2)
	case yaml.SequenceNode:
		return appendAll(b, '[', ']', node.Content, 1)
	case yaml.ScalarNode:
		return appendScalar(b, node)
	case yaml.AliasNode: // of an example that stands in two places
		return appendJSON(b, node.Alias)
	default:
		return nil, fmt.Errorf("line %d: this is no value", node.Line)
	}
}

// appendAll writes what is between two brackets: values, or each behind its
// name.
func appendAll(b []byte, opening, closing byte, nodes []*yaml.Node, step int) (_ []byte, err error) {
	b = append(b, opening)
	for i := 0; i < len(nodes); i += step {
		if i > 0 {
			b = append(b, ',')
		}
		if step == 2 { // names are strings, whatever they look like
			if b, err = appendValue(b, nodes[i].Value); err != nil {
				return nil, err
			}
			b = append(b, ':')
		}
		if b, err = appendJSON(b, nodes[i+step-1]); err != nil {
			return nil, err
		}
	}
	return append(b, closing), nil
}

func appendScalar(b []byte, node *yaml.Node) ([]byte, error) {
	if node.Tag == "!!str" || node.Tag == "!!timestamp" { // JSON has no times
		return appendValue(b, node.Value)
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, err
	}
	return appendValue(b, value)
}

func appendValue(b []byte, value any) ([]byte, error) {
	raw, err := json.Marshal(value)
	return append(b, raw...), err
}
