"""The `judge` program."""

from __future__ import annotations

from pairwright.commands.command import Command

SUMMARY = "Judge responses with a vision-language model: scores, comparisons, rankings, claims."

COMMANDS = (
    Command(
        name="serve",
        target="judge.serve.command:serve_model",
        options="judge.serve.options:ServeOptions",
        summary="serve a model with vLLM, one server per GPU, until stopped",
        examples=(
            "judge serve --model Qwen2-VL-7B",
            "judge serve --model Qwen2-VL-7B --gpus 0,1,3",
            "judge serve --model Qwen2-VL-72B --tensor-parallel 4 --vllm-arg max-num-seqs=64",
            "judge serve --model ./policy --port 8000 --adapter dpo=data/runs/dpo/adapter",
        ),
        dataset="none",
    ),
    Command(
        name="score",
        target="judge.score.command:score",
        options="judge.score.options:ScoreOptions",
        summary="score responses by a rubric with a vision-language model",
        examples=(
            "judge score data/ --model Qwen2-VL-7B",
            "judge score data/ --model Qwen2-VL-7B --base-url http://127.0.0.1:8000/v1",
            "judge score data/ --model Qwen2-VL-7B --target samples --rubric faithful",
            'judge score data/ --model Qwen2-VL-7B --criteria "tone: it is friendly" "short: it is"',
            "judge score data/ --model Qwen2-VL-7B --jury InternVL3-8B llava-1.5-7b",
            "judge score data/ --model Qwen2-VL-7B --rationale before --repeats 4",
        ),
    ),
    Command(
        name="jury",
        target="judge.jury.command:jury",
        options="judge.jury.options:JuryOptions",
        summary="combine the scores of several judges or human annotators into a jury's",
        examples=(
            "judge jury data/ --scores score score-other",
            "judge jury data/ --scores score people --jury-by mean --weights alice=2",
        ),
    ),
    Command(
        name="rubrics",
        target="judge.rubric.command:rubrics",
        options="judge.rubric.options:RubricOptions",
        summary="list the rubrics, print one, or validate your own",
        examples=(
            "judge rubrics",
            "judge rubrics show vlfeedback",
            "judge rubrics check mine.yaml --model Qwen2-VL-7B",
        ),
        dataset="none",
        has_run=False,
    ),
    Command(
        name="sheet",
        target="judge.sheet.command:sheet",
        options="judge.sheet.options:SheetOptions",
        summary="write an annotation page on which humans score responses by the same rubric",
        examples=(
            "judge sheet data/ --n 300",
            "judge sheet data/ --target samples --rubric faithful",
        ),
    ),
    Command(
        name="agree",
        target="judge.agreement.command:agree",
        options="judge.agreement.options:AgreeOptions",
        summary="compare a judge with human labels, audit it, fit a calibration",
        examples=(
            "judge agree data/ --judge scores/score-responses --labels scores/people",
            "judge agree data/ --judge comparisons/compare --labels comparisons/people "
            "--min-agreement 0.6",
            "judge agree data/ --judge comparisons/votes",
        ),
    ),
    Command(
        name="calibrate",
        target="judge.calibration.command:calibrate",
        options="judge.calibration.options:CalibrateOptions",
        summary="add calibrated scores by a fitted calibration; no model is asked",
        examples=(
            "judge calibrate data/ --scores score "
            "--calibration data/reports/agree/score-people/calibration.json",
        ),
    ),
    Command(
        name="compare",
        target="judge.compare.command:compare",
        options="judge.compare.options:CompareOptions",
        summary="ask a model which of two responses is better, in both orders",
        examples=(
            "judge compare data/ --model Qwen2-VL-7B",
            "judge compare data/ --model Qwen2-VL-7B --baseline sample",
            "judge compare data/ --model Qwen2-VL-7B --pairing swiss --scores",
            "judge compare data/ --model Qwen2-VL-7B "
            "--criteria 'truth: the response states nothing that the image does not show'",
        ),
    ),
    Command(
        name="claims",
        target="judge.claims.command:claims",
        options="judge.claims.options:ClaimsOptions",
        summary="split responses into claims and check each against the image with a model",
        examples=(
            "judge claims data/ --model Qwen2-VL-7B",
            "judge claims data/ --model Qwen2-VL-7B --split sentences --target samples",
            "judge claims data/ --model Qwen2-VL-7B --claims people --run people-checked",
        ),
    ),
    Command(
        name="rank",
        target="judge.rank.command:rank",
        options="judge.rank.options:RankOptions",
        summary="rank all responses to a question at once with a model",
        examples=(
            "judge rank data/ --model Qwen2-VL-7B",
            "judge rank data/ --model Qwen2-VL-7B --group 5 --rounds 4",
        ),
    ),
    Command(
        name="probe",
        target="judge.probe.command:probe",
        options="judge.probe.options:ProbeOptions",
        summary="measure how robust a judge is: prompt injections, no image, another image",
        examples=(
            "judge probe data/ --model Qwen2-VL-7B --limit 200",
            "judge probe data/ --model Qwen2-VL-7B --probes injections --max-flip-rate 0.05",
        ),
    ),
)
