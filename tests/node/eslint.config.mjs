// What is wrong with JavaScript that types do not see. Run by tests/test_web.py.
export default [
  {
    files: ["**/*.js"],
    languageOptions: {
      ecmaVersion: 2024,
      sourceType: "module",
      globals: Object.fromEntries(
        ["ol", "ms", "document", "location", "history", "window", "performance", "localStorage", "fetch", "WebSocket", "open",
          "URLSearchParams", "FormData", "AudioContext", "OscillatorNode", "GainNode", "HTMLElement", "HTMLInputElement",
          "HTMLSelectElement", "HTMLButtonElement", "setInterval", "setTimeout", "clearTimeout", "addEventListener",
          "devicePixelRatio"].map((name) => [name, "readonly"]),
      ),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-undef": "error", "no-unused-vars": "error", "no-var": "error", "prefer-const": "error", eqeqeq: "error",
      "no-eval": "error", "no-implied-eval": "error", "no-new-func": "error", "no-shadow": "error", "no-alert": "error",
      "no-console": "error", "no-unsafe-finally": "error", "no-fallthrough": "error", "no-self-compare": "error",
      "no-use-before-define": ["error", { functions: false, classes: false }], "no-constant-condition": "error",
      "no-restricted-properties": ["error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({ property, message: "text only: textContent" }))],
      "no-restricted-globals": ["error", "event", "name"],
      "max-lines": ["error", 400], complexity: ["error", 24],
    },
  },
];
