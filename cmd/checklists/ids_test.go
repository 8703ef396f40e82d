package main

import (
	"slices"
	"testing"
)

func TestIDsAreFoundInNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		says string
		name string
		want []string
	}{
		{"none", "a form from another site is refused", nil},
		{"one before its sentence, as go test writes it", "BBA-10_a_form_is_refused", []string{"BBA-10"}},
		{"one alone", "S-01", []string{"S-01"}},
		{"several families", "BBA-10 ASVS-3.5.1 BCL-05 FAPI2-03 GOIDC-12", []string{"ASVS-3.5.1", "BBA-10", "BCL-05", "FAPI2-03", "GOIDC-12"}},
		{"one twice", "S-01 and S-01", []string{"S-01"}},
		{"a number of three parts and three digits", "ASVS-10.4.16_by_a_key", []string{"ASVS-10.4.16"}},
		{"the end of a sentence", "as of ASVS-3.5.1.", []string{"ASVS-3.5.1"}},
		{"a longer number", "S-011", []string{"S-011"}},
		{"letters after the number", "BBA-10a", []string{"BBA-10a"}},
		{"small letters", "bba-10", []string{"bba-10"}},
		{"half a number", "ASVS-3.5", []string{"ASVS-3.5"}},
		{"within another word", "HS-256, rs-01, XBBA-10, a-S-01", nil},
		{"a module", "oidcc-client-test-invalid-iss", []string{"oidcc-client-test-invalid-iss"}},
		{"a module that begins like others", "oidcc-client-test_a_whole_login", []string{"oidcc-client-test"}},
		{"a module that ran twice", "oidcc-client-test-invalid-iss#01", []string{"oidcc-client-test-invalid-iss"}},
		{"a mistyped module", "oidcc-client-test-invalid-is", []string{"oidcc-client-test-invalid-is"}},
		{"a module that goes on", "oidcc-client-tests", []string{"oidcc-client-tests"}},
		{"a function", "TestBBA10_AFormIsRefused", []string{"BBA-10"}},
		{"a function in camel case", "TestS06FlowSecretsAreNew", []string{"S-06"}},
		{"a function with nothing else", "TestS06", []string{"S-06"}},
		{"a function with a number of three parts", "TestASVS_7_4_1_AfterALogout", []string{"ASVS-7.4.1"}},
		{"a function with several", "TestFAPI2_03_S02_ASVS_10_1_2_States", []string{"ASVS-10.1.2", "FAPI2-03", "S-02"}},
		{"a fuzz target", "FuzzS01ReturnTargets", []string{"S-01"}},
		{"algorithms in a function's name", "TestRS256AndES256AndTLS12AndS256AndSHA256", nil},
		{"a digit too many", "TestS061", nil},
		{"a small letter after it", "TestBBA10th", nil},
	} {
		t.Run(test.says, func(t *testing.T) {
			t.Parallel()
			if got := idsInName(test.name); !slices.Equal(got, test.want) {
				t.Errorf("%q holds %q, not %q", test.name, got, test.want)
			}
		})
	}
}
